"""Stochastic depth: what is dropped, the factor of the rest, and the layer scale."""

from __future__ import annotations

import pytest
import torch

from stbench.nn.drop_path import DropPath


@pytest.mark.parametrize("gamma", [None, torch.randn(3)])
def test_adding_a_branch_is_adding_what_is_left_of_it(gamma: torch.Tensor | None) -> None:
    layer = DropPath(0.4).train()
    x, branch = torch.randn(64, 5, 3), torch.randn(64, 5, 3)
    torch.manual_seed(0)
    expected = x + layer(branch if gamma is None else gamma * branch)
    torch.manual_seed(0)
    torch.testing.assert_close(layer.add(x, branch, gamma), expected)
    rows = (layer.add(x, branch, gamma) == x).flatten(1).all(1)
    assert 0 < rows.sum() < 64


@pytest.mark.parametrize(("rate", "training"), [(0.0, True), (0.4, False)])
def test_nothing_is_dropped_in_evaluation_or_at_rate_0(rate: float, training: bool) -> None:
    layer = DropPath(rate).train(training)
    x, branch = torch.randn(4, 3), torch.randn(4, 3)
    assert torch.equal(layer(branch), branch)
    assert torch.equal(layer.add(x, branch), x + branch)
