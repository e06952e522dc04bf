"""Parameter and multiply-add counts equal the reference implementation's, its dead parameters apart."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import pytest
import torch
from fvcore.nn import FlopCountAnalysis

from .published import ROWS, Row, count_macs

ALL = [Row(dataset, method) for method, (_, settings) in ROWS.items() for dataset in settings]
LIVE = {"TAU": 9_545_442, "PredRNN": 23_658_496, "PhyDNet": 3_092_309, "ConvLSTM": 11_572_224}


def name(row: Row) -> str:
    return f"{row.method}-{row.dataset}"


@pytest.mark.parametrize("row", ALL, ids=name)
def test_parameters(row: Row, shared_dir: Path) -> None:
    parameters = sum(p.numel() for p in row.build().parameters())
    assert parameters + row.dead() == row.expected(shared_dir)[0]


@pytest.mark.parametrize("method", LIVE)
def test_live_parameters_on_taxibj(method: str) -> None:
    assert sum(p.numel() for p in Row("taxibj", method).build().parameters()) == LIVE[method]


@pytest.mark.parametrize("row", ALL, ids=name)
def test_multiply_adds(row: Row, shared_dir: Path) -> None:
    method = row.build()
    past = torch.empty(row.shape.past(1), device="meta")
    assert count_macs(method, past) + pooled(row) + method.idle_macs() == row.expected(shared_dir)[1]


def pooled(row: Row) -> int:
    """TAU's pooling reads every element of every block once; it is a function, so no module's hook sees it."""
    if row.method != "TAU":
        return 0
    _, settings = ROWS["TAU"]
    sizes = settings[row.dataset]
    widths = row.shape.t_in * sizes["hid_s"] + (sizes["n_t"] - 1) * sizes["hid_t"]
    shrunk = 4 ** (sizes["n_s"] // 2)
    return widths * row.shape.height * row.shape.width // shrunk


@pytest.mark.slow
@pytest.mark.parametrize("method", [m for m, (_, settings) in ROWS.items() if "taxibj" in settings])
def test_multiply_adds_by_fvcore(method: str, shared_dir: Path) -> None:
    row = Row("taxibj", method)
    built = row.build("cpu")
    assert fvcore_macs(built, row.shape.past(1)) + built.idle_macs() == row.expected(shared_dir)[1]


def fvcore_macs(method: torch.nn.Module, past: tuple[int, ...]) -> int:
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    analysis = FlopCountAnalysis(method, torch.zeros(past)).tracer_warnings("none")
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates the tracing that fvcore uses
        return int(analysis.total())
