"""Two data-parallel processes (gloo) give the losses of one with the same global batch, whatever the layers draw."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from stbench.schema.folder import RunFolder
from stbench.train.checkpoint import find_best

ROOT = Path(__file__).resolve().parents[2]
WORLD = """
import sys
from pathlib import Path
import torch
from torch import nn
from stbench.nn.drop_path import DropPath
from stbench.data import ClipLoader
from stbench.nn import MethodConfig
from stbench.schema.folder import RunFolder
from stbench.train.engine import Engine
from stbench.train.interrupt import StopRequest
from stbench.train.loop import Trainer
from tests.train import tiny

class Everything(tiny.Blend):
    # no bias in front of batch statistics, which cancel it: its gradient would be rounding, which Adam makes steps of
    # batch statistics, dropout in two memory layouts, stochastic depth, draws per batch and per sample
    def __init__(self, shape, config):
        super().__init__(shape, config)
        self.conv = nn.Conv2d(shape.t_in, shape.t_out, 3, padding=1, bias=False)
        wide = nn.Conv2d(shape.t_in, 6, 3, padding=1, bias=False)
        self.wide = nn.Sequential(wide, nn.BatchNorm2d(6), nn.Dropout(0.4))
        self.narrow = nn.Conv2d(6, shape.t_out, 1)
        self.drop_path = DropPath(0.5)

    def forward(self, past):
        wide = self.wide(past[:, :, 0].contiguous(memory_format=torch.channels_last))
        return self.drop_path.add(super().forward(past), self.narrow(wide)[:, :, None])

    def training_losses(self, past, future, progress):
        weight = progress.rand(len(past), 1, 1, 1, 1)
        return super().training_losses(past * weight, future, progress)

processes, out, accumulate = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
engine = Engine("cpu", "32", processes)
torch.manual_seed(0)
folder = RunFolder(out)
folder.checkpoints.mkdir(parents=True, exist_ok=True)
share = dict(rank=engine.rank, world_size=engine.world_size)
training = tiny.tiny_training(accumulate=accumulate, ema=0.9)
loaders = (
    ClipLoader(tiny.Drift(20), 4, shuffle=True, seed=3, drop_last=True, parts=accumulate, **share),
    ClipLoader(tiny.Drift(7), 4, shuffle=False, **share),
)
trainer = Trainer(
    engine.place(Everything(tiny.SHAPE, MethodConfig())), training, loaders, folder,
    seed=5, engine=engine, listener=tiny.Recorder(), stop=StopRequest(),
)
trainer.run()
"""


@pytest.mark.slow
@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_processes_train_like_one(tmp_path: Path, accumulate: int) -> None:
    script = tmp_path / "world.py"
    script.write_text(WORLD)
    curves, weights = [], []
    for processes in (1, 2):
        out = tmp_path / str(processes)
        subprocess.run(
            [sys.executable, str(script), str(processes), str(out), str(accumulate)],
            check=True,
            timeout=240,
            capture_output=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "PYTHONPATH": str(ROOT)},
        )
        records = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
        weights.append(load_file(find_best(RunFolder(out))))
        curves.append([(r["train_loss"], r["val_mse_frame"]) for r in records])
    assert len(curves[0]) == len(curves[1]) == 4
    for one, two in zip(*curves, strict=True):
        assert two == pytest.approx(one, rel=1e-5)
    for name, one in weights[0].items():
        torch.testing.assert_close(weights[1][name], one, rtol=1e-4, atol=1e-5, msg=name)
