"""Parameter and multiply-add counts equal the reference implementation's, its dead parameters apart."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from stbench.efficiency.macs import analyse, total_macs
from tests.methods.published import ROWS, Row

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


def marked(row: Row) -> object:
    """One data set of each method is counted fast; the others take minutes together."""
    datasets = ROWS[row.method][1]
    fast = row.dataset == ("taxibj" if "taxibj" in datasets else next(iter(datasets)))
    return pytest.param(row, marks=() if fast and not row.method.startswith("SwinLSTM") else pytest.mark.slow)


@pytest.mark.parametrize("row", [marked(row) for row in ALL], ids=[name(row) for row in ALL])
def test_multiply_adds(row: Row, shared_dir: Path) -> None:
    assert total_macs(row.build) == row.expected(shared_dir)[1]


@pytest.mark.slow
@pytest.mark.parametrize("method", [m for m, (_, settings) in ROWS.items() if "taxibj" in settings])
def test_multiply_adds_by_fvcore(method: str, shared_dir: Path) -> None:
    row = Row("taxibj", method)
    built = row.build("cpu")
    counted = analyse(built, torch.zeros(row.shape.past(1)))
    assert counted.total + built.idle_macs() == row.expected(shared_dir)[1]
