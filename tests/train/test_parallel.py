"""Two data-parallel processes (gloo) give the loss curve of one with the same global batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORLD = """
import sys
from pathlib import Path
import torch
from torch import nn
from stbench.data import ClipLoader
from stbench.nn import MethodConfig
from stbench.schema.folder import RunFolder
from stbench.train.engine import Engine
from stbench.train.interrupt import StopRequest
from stbench.train.loop import Trainer
from tests.train import tiny

class Plain(tiny.Blend):
    jitter = 0.0
    def __init__(self, shape, config):
        super().__init__(shape, config)
        self.dropout, self.norm = nn.Identity(), nn.Identity()

processes, out = int(sys.argv[1]), Path(sys.argv[2])
engine = Engine("cpu", "32", processes)
torch.manual_seed(0)
folder = RunFolder(out)
folder.checkpoints.mkdir(parents=True, exist_ok=True)
share = dict(rank=engine.rank, world_size=engine.world_size)
training = tiny.tiny_training()
loaders = (
    ClipLoader(tiny.Drift(20), 4, shuffle=True, seed=3, drop_last=True, **share),
    ClipLoader(tiny.Drift(7), 4, shuffle=False, **share),
)
trainer = Trainer(
    engine.place(Plain(tiny.SHAPE, MethodConfig())), training, loaders, folder,
    seed=5, engine=engine, listener=tiny.Recorder(), stop=StopRequest(),
)
trainer.run()
"""


@pytest.mark.slow
def test_two_processes_train_like_one(tmp_path: Path) -> None:
    script = tmp_path / "world.py"
    script.write_text(WORLD)
    curves = []
    for processes in (1, 2):
        out = tmp_path / str(processes)
        subprocess.run(
            [sys.executable, str(script), str(processes), str(out)],
            check=True,
            timeout=240,
            capture_output=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "PYTHONPATH": str(ROOT)},
        )
        records = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
        curves.append([(r["train_loss"], r["val_mse_frame"]) for r in records])
    assert len(curves[0]) == len(curves[1]) == 4
    for one, two in zip(*curves, strict=True):
        assert two == pytest.approx(one, rel=1e-5)
