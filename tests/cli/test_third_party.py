"""A one-file method in a third-party package, installed with pip, runs beside TAU."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import TINY, stbench

PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "scratch-method"
version = "0.1"

[project.entry-points."stbench.methods"]
scratch = "scratch_method:Scratch"

[tool.setuptools]
py-modules = ["scratch_method"]
"""

METHOD = '''
"""The mean past frame, scaled and shifted by two learned numbers."""

import torch

from stbench import Method


class Scratch(Method):
    """Scaled mean of the past."""

    summary = "a scaled mean frame"

    def __init__(self, shape, config):
        super().__init__(shape, config)
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.shift = torch.nn.Parameter(torch.zeros(()))

    def forward(self, past):
        mean = past.mean(dim=1, keepdim=True) * self.scale + self.shift
        return mean.expand(-1, self.shape.t_out, -1, -1, -1)
'''


@pytest.mark.slow
def test_scratch_package(tmp_path: Path) -> None:
    source, site = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    (source / "pyproject.toml").write_text(PYPROJECT)
    (source / "scratch_method.py").write_text(METHOD)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(site), str(source)], check=True, capture_output=True)
    env = {"PYTHONPATH": str(site)}

    listed = stbench("list", "methods", env=env)
    assert "scratch" in listed.stdout
    assert "a scaled mean frame" in listed.stdout

    out = tmp_path / "out"
    small = [*("--epochs", "1"), *("--set", "tau.hid_s=4"), *("--set", "tau.hid_t=8"), *("--set", "tau.n_t=2")]
    done = stbench("run", "--methods", "tau,scratch", *TINY, *small, "--out", str(out), env=env)
    assert done.returncode == 0, done.stderr
    table = (out / "table.md").read_text()
    assert all(f"| {name} | " in table for name in ("persistence", "tau", "scratch"))
    assert "failed" not in table
