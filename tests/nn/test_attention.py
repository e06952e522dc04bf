"""Attention, whole and in windows, against loops over queries and keys."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stbench.errors import UserError
from stbench.nn.attention import SelfAttention
from stbench.nn.window import WindowAttention, fit_window, reorder

B, C, HEADS = 2, 12, 3


def double(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.7)
    return module.double()


def one_query(module: nn.Module, x_BNC: Tensor, query: int, keys: list[int], added: list[Tensor]) -> Tensor:
    """Output of one query over ``keys``; ``added`` is the bias of each key, (heads,). Shape (B, C)."""
    q, k, v = F.linear(x_BNC, module.qkv.weight, module.qkv.bias).chunk(3, dim=-1)
    width = q.shape[-1] // HEADS
    heads = []
    for h in range(HEADS):
        part = slice(h * width, (h + 1) * width)
        logits = [
            (q[:, query, part] * k[:, key, part]).sum(-1) / width**0.5 + bias[h]
            for key, bias in zip(keys, added, strict=True)
        ]
        weights = torch.stack(logits).softmax(0)
        heads.append(sum(w[:, None] * v[:, key, part] for w, key in zip(weights, keys, strict=True)))
    return F.linear(torch.cat(heads, dim=-1), module.proj.weight, module.proj.bias)


@pytest.mark.parametrize(("head_width", "qkv_bias"), [(None, True), (5, False)])
def test_attention_over_all_tokens(head_width: int | None, qkv_bias: bool) -> None:
    module = double(SelfAttention(C, HEADS, head_width=head_width, qkv_bias=qkv_bias))
    x = torch.randn(B, 7, C, dtype=torch.float64)
    none = [torch.zeros(HEADS)] * 7
    expected = torch.stack([one_query(module, x, i, list(range(7)), none) for i in range(7)], dim=1)
    torch.testing.assert_close(module(x), expected)


def neighbours(size: tuple[int, int], window: int, shift: int, masked: bool) -> dict[int, dict[int, float]]:
    """Keys of each query with what the mask adds, from the geometry of the rolled grid."""
    height, width = size
    place = {}
    for row in range(height):
        for column in range(width):
            r, c = (row - shift) % height, (column - shift) % width
            wrapped = (row < shift, column < shift)
            place[row * width + column] = (r // window, c // window, wrapped)
    return {
        query: {key: -100.0 if masked and at[2] != mine[2] else 0.0 for key, at in place.items() if at[:2] == mine[:2]}
        for query, mine in place.items()
    }


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    ("size", "window", "shift"), [((4, 4), 4, 0), ((4, 8), 2, 0), ((6, 4), 2, 1), ((8, 4), 4, 2), ((6, 9), 3, 1)]
)
def test_attention_in_windows(size: tuple[int, int], window: int, shift: int, masked: bool) -> None:
    module = double(WindowAttention(C, HEADS, size, window, shift, masked=masked))
    x = torch.randn(B, size[0] * size[1], C, dtype=torch.float64)
    expected = []
    for query, keys in neighbours(size, window, shift, masked).items():
        added = []
        for key, blocked in keys.items():
            (r, c), (s, d) = divmod(query, size[1]), divmod(key, size[1])
            down = ((r - shift) % size[0]) % window - ((s - shift) % size[0]) % window
            right = ((c - shift) % size[1]) % window - ((d - shift) % size[1]) % window
            row = (down + window - 1) * (2 * window - 1) + right + window - 1
            added.append(module.bias_table[row] + blocked)
        expected.append(one_query(module, x, query, list(keys), added))
    torch.testing.assert_close(module(x), torch.stack(expected, dim=1))


def test_gradients_of_a_masked_window_attention() -> None:
    module = double(WindowAttention(6, 3, (4, 4), 2, 1, masked=True))
    x = torch.randn(1, 16, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(module, (x,))


def test_the_gradient_of_a_reordering_is_the_inverse_one() -> None:
    order = torch.randperm(9)
    x = torch.randn(2, 9, 3, requires_grad=True)
    weight = torch.randn(2, 9, 3)
    (seen,) = torch.autograd.grad((reorder(x, order, order.argsort()) * weight).sum(), x)
    (expected,) = torch.autograd.grad((x[:, order] * weight).sum(), x)
    torch.testing.assert_close(seen, expected)


@pytest.mark.parametrize(
    ("size", "wished", "fitted"),
    [((8, 8), (4, 2), (4, 2)), ((8, 4), (4, 2), (4, 0)), ((2, 1), (4, 2), (1, 0)), ((6, 3), (7, 3), (3, 0))],
)
def test_a_window_is_at_most_the_grid(size: tuple[int, int], wished: tuple[int, int], fitted: tuple[int, int]) -> None:
    assert fit_window(size, *wished, "window") == fitted


@pytest.mark.parametrize("size", [(6, 8), (8, 6), (3, 4)])
def test_windows_that_do_not_tile_the_grid_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(UserError, match=rf"{size[0]}×{size[1]} tokens does not divide into windows"):
        fit_window(size, 4 if min(size) > 4 else 2, 0, "window")
