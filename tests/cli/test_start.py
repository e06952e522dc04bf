"""The first seconds: help and listings are quick and import no torch."""

import subprocess
import sys
from importlib.metadata import version

import pytest

from tests.cli.commands import stbench

IMPORTS = """
import sys
sys.argv = ["stbench", *{arguments!r}]
from stbench.cli import main
try:
    main()
except SystemExit:
    pass
assert "torch" not in sys.modules
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["run", "--help"],
        *(["list", k] for k in ("methods", "benchmarks", "metrics", "protocols")),
    ],
)
def test_no_torch(arguments: list[str]) -> None:
    code = IMPORTS.format(arguments=arguments)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("methods", ["tau", "Tan et al., CVPR 2023", "no_sa, no_da, no_ddr", "persistence", "every future frame"]),
        ("benchmarks", ["taxibj", "stbench data get", "30.1 GB", "moving_digits", "embedded", "paper, legacy, quick"]),
        ("metrics", ["mse_frame", "Σ", "ssim_legacy", "higher"]),
        ("protocols", ["taxinyc", "50 epochs, batch size 16, cosine", "test", "validation"]),
    ],
)
def test_listings(kind: str, expected: list[str]) -> None:
    done = stbench("list", kind)
    assert done.returncode == 0, done.stderr
    for text in expected:
        assert text in done.stdout


def test_version() -> None:
    done = stbench("--version")
    assert (done.returncode, done.stdout) == (0, f"stbench {version('stbench')}\n")


def test_unknown_kind() -> None:
    done = stbench("list", "method")
    assert done.returncode == 2
    assert "methods" in done.stderr
