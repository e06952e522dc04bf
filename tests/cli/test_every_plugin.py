"""Every kind of plugin from one scratch package outside the repository, a file of at most 40 lines each, in one run."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from tests.cli.commands import only, stbench

PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "scratch-plugins"
version = "0.1"

[project.entry-points."stbench.methods"]
scratch_method = "scratch.method:Scratch"
[project.entry-points."stbench.metrics"]
scratch_hits = "scratch.metric:HITS"
[project.entry-points."stbench.datasets"]
scratch_reader = "scratch.reader:Stripes"
[project.entry-points."stbench.benchmarks"]
scratch_benchmark = "scratch.benchmark"
[project.entry-points."stbench.optimizers"]
scratch_sgd = "scratch.optimizer:Sgd"
[project.entry-points."stbench.schedules"]
scratch_decay = "scratch.schedule:Decay"
[project.entry-points."stbench.loggers"]
scratch_log = "scratch.logger:Lines"
[project.entry-points."stbench.executors"]
scratch_backwards = "scratch.executor:Backwards"

[tool.setuptools]
packages = ["scratch", "scratch.benchmark"]

[tool.setuptools.package-data]
"scratch.benchmark" = ["*.yaml"]
"""

FILES = {
    "method.py": '''
"""The mean past frame, scaled and shifted by two learned numbers."""

import torch

from stbench import Method


class Scratch(Method):
    """Scaled mean of the past."""

    def __init__(self, shape, config):
        super().__init__(shape, config)
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.shift = torch.nn.Parameter(torch.zeros(()))

    def forward(self, past):
        mean = past.mean(dim=1, keepdim=True) * self.scale + self.shift
        return mean.expand(-1, self.shape.t_out, -1, -1, -1)
''',
    "metric.py": '''
"""The share of bright pixels that are predicted bright: a ratio of sums."""

from stbench.metrics import Metric


class Hits(Metric):
    """Hit rate."""

    def statistics(self, frames):
        bright = frames.true_BTCHW > 0.5
        hit = bright & (frames.pred_BTCHW > 0.5)
        undefined = 0 * (frames.pred_BTCHW + frames.true_BTCHW).sum((2, 3, 4))
        return hit.sum((2, 3, 4)) + undefined, bright.sum((2, 3, 4)) + undefined

    def finish(self, means):
        return means[0] / means[1]


HITS = Hits(
    name="scratch_hits", formula="Σ hits / Σ bright pixels", unit="", lower_is_better=False, parts=("hits", "bright")
)
''',
    "reader.py": '''
"""Moving stripes, made up as they are asked for."""

import torch

from stbench.data import Reader, Split, Splits


class StripeSplit(Split):
    def __init__(self, shape, first, count):
        self.shape, self.first, self.count = shape, first, count

    def __len__(self):
        return self.count

    def clips(self, indices, epoch):
        number = torch.as_tensor(indices)[:, None, None, None, None] + self.first
        time = torch.arange(self.shape.length)[:, None, None, None]
        column = torch.arange(self.shape.width).expand(self.shape.frame)
        return 0.5 + 0.5 * torch.sin(0.7 * column + 0.3 * time + number)


class Stripes(Reader):
    """Stripes that move to the left."""

    @classmethod
    def open(cls, options, context):
        train, val, test = (StripeSplit(context.shape, first, n) for first, n in ((0, 16), (100, 4), (200, 6)))
        return Splits(train=train, val=val, test=test, report="stripes", fingerprint="stripes-1")
''',
    "benchmark/protocol.yaml": """
name: scratch_benchmark
version: 1
title: Stripes
shape: {t_in: 3, t_out: 2, channels: 1, height: 8, width: 8}
units: none
dataset: {reader: scratch_reader}
protocols:
  paper:
    description: two epochs
    training:
      epochs: 2
      batch_size: 4
      lr: 0.01
      optimizer: {kind: scratch_sgd, nesterov: true}
      schedule: {kind: scratch_decay, factor: 0.5}
    evaluation: {metrics: [scratch_hits, mse_frame], batch_size: 4}
""",
    "benchmark/__init__.py": '"""Stripes."""\n',
    "optimizer.py": '''
"""Stochastic gradient descent."""

from typing import Literal

from stbench.schema import Optimizer


class Sgd(Optimizer):
    """torch.optim.SGD with momentum."""

    kind: Literal["scratch_sgd"] = "scratch_sgd"
    nesterov: bool = False

    def build(self, parameters, lr):
        import torch

        return torch.optim.SGD(parameters, lr=lr, momentum=0.9, nesterov=self.nesterov)
''',
    "schedule.py": '''
"""The rate falls by a factor per epoch."""

from typing import Literal

from stbench.schema import Rate, Schedule


class Decay(Schedule):
    """Geometric decay."""

    kind: Literal["scratch_decay"] = "scratch_decay"
    factor: float = 0.9

    def rate(self, position):
        return Rate(position.peak * self.factor**position.epoch)
''',
    "logger.py": '''
"""A line per finished run."""

from stbench.events import SweepListener


class Lines(SweepListener):
    """Appends to lines.txt."""

    def __init__(self, out):
        self.file = out / "lines.txt"

    def run_done(self, spec, outcome, result, note=""):
        with self.file.open("a") as stream:
            stream.write(f"{spec.method} {spec.seed} {outcome}\\n")
''',
    "executor.py": '''
"""The runs in this process, the last one first."""

from stbench.sweep.executors.local import Local


class Backwards:
    """Runs in reverse order."""

    def submit(self, specs, workplace):
        yield from Local().submit(list(reversed(specs)), workplace)
''',
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment in which the scratch package is installed."""
    folder = tmp_path_factory.mktemp("scratch")
    for name, text in {"__init__.py": "", **FILES}.items():
        file = folder / "source" / "scratch" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.lstrip())
    (folder / "source" / "pyproject.toml").write_text(PYPROJECT)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(folder / "site"), str(folder / "source")], check=True, capture_output=True)
    return {"PYTHONPATH": str(folder / "site")}


@pytest.mark.parametrize("name", FILES)
def test_a_plugin_is_a_small_file(name: str) -> None:
    assert len(FILES[name].strip().splitlines()) <= 40


@pytest.mark.slow
def test_all_of_them_take_part_in_one_run(installed: dict[str, str], tmp_path: Path) -> None:
    choice = ["--methods", "scratch_method,persistence", "--dataset", "scratch_benchmark", "--device", "cpu"]
    more = ["--log", "scratch_log", "--log", "csv", "--executor", "scratch_backwards"]
    done = stbench("run", *choice, *more, "--out", str(tmp_path), env=installed)
    assert done.returncode == 0, done.stdout + done.stderr
    # executor and logger: the last of the plan was done first, and every end was heard of
    assert (tmp_path / "lines.txt").read_text().splitlines() == ["persistence 0 finished", "scratch_method 0 finished"]
    run = only(tmp_path / "runs", "scratch_benchmark-paper-scratch_method-*")
    spec: dict[str, Any] = yaml.safe_load((run / "spec.yaml").read_text())
    assert spec["training"]["optimizer"] == {"kind": "scratch_sgd", "nesterov": True}  # optimiser, schedule, benchmark
    assert spec["training"]["schedule"] == {"kind": "scratch_decay", "factor": 0.5}
    assert spec["dataset"]["reader"] == "scratch_reader"
    epochs = pd.read_csv(tmp_path / "epochs.csv")  # schedule, csv logger
    assert epochs["lr"].tolist() == [0.01, 0.005]
    assert epochs["method"].tolist() == ["scratch_method"] * 2
    assert "stripes" in done.stdout  # reader
    frames = pd.read_parquet(run / "per_sequence.parquet")  # metric: a ratio of sums, not a mean of ratios
    total = frames["scratch_hits.hits"].sum() / frames["scratch_hits.bright"].sum()
    result = yaml.safe_load((run / "result.json").read_text())
    assert result["test"]["scratch_hits"]["total"] == pytest.approx(total)
    assert "scratch_method" in (tmp_path / "table.md").read_text()


@pytest.mark.slow
def test_they_are_listed_and_keep_their_contracts(installed: dict[str, str]) -> None:
    listed = {
        "methods": "scratch_method",
        "metrics": "scratch_hits",
        "benchmarks": "scratch_benchmark",
        "optimizers": "scratch_sgd",
        "schedules": "scratch_decay",
        "loggers": "scratch_log",
        "executors": "scratch_backwards",
    }
    for kind, name in listed.items():
        done = stbench("list", kind, env=installed)
        assert name in done.stdout, done.stderr
    for kind in ("metrics", "optimizers", "schedules"):
        done = stbench("check", "--kind", kind, listed[kind], env=installed)
        assert done.returncode == 0, done.stdout
