"""Toom–Cook convolutions against the direct one: values and gradients, any size; transformed weights; choices."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from stbench.nn import fast_conv
from stbench.nn.fast_conv import Block, fast_conv2d, fast_conv2d_blocks, transformed_weight
from stbench.nn.toom_cook import transforms

TILES = [(4, 5), (2, 5), (4, 3), (2, 3)]
SIZES = [(2, 3, 5, 16, 16), (1, 1, 1, 1, 1), (3, 2, 7, 9, 13), (1, 4, 2, 3, 30), (2, 5, 3, 4, 2)]


@pytest.mark.parametrize(("tile", "kernel"), TILES)
def test_one_axis_is_a_correlation(tile: int, kernel: int) -> None:
    output, weight, given = transforms(tile, kernel)
    g, d = torch.randn(kernel, dtype=torch.float64), torch.randn(tile + kernel - 1, dtype=torch.float64)
    expected = torch.stack([(d[i : i + kernel] * g).sum() for i in range(tile)])
    torch.testing.assert_close(output @ ((weight @ g) * (given @ d)), expected)


def test_too_many_points_are_refused() -> None:
    with pytest.raises(ValueError, match="needs 9 points"):
        transforms(6, 5)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("tile", "kernel"), TILES)
def test_values_and_gradients_are_the_direct_convolution_s(
    size: tuple[int, int, int, int, int], tile: int, kernel: int
) -> None:
    batch, c_in, c_out, height, width = size
    x = torch.randn(batch, c_in, height, width, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(c_out, c_in, kernel, kernel, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(c_out, dtype=torch.float64, requires_grad=True)
    ours, plain = fast_conv2d(x, weight, bias, tile), F.conv2d(x, weight, bias, padding=kernel // 2)
    torch.testing.assert_close(ours, plain)
    cotangent = torch.randn_like(plain)
    for mine, expected in zip(*(grads(y, cotangent, x, weight, bias) for y in (ours, plain)), strict=True):
        torch.testing.assert_close(mine, expected)


def grads(y: Tensor, cotangent: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad((y * cotangent).sum(), inputs)


@pytest.mark.parametrize(("tile", "kernel", "most"), [(4, 5, 60), (2, 5, 30), (4, 3, 30), (2, 3, 5)])
def test_float32_rounding_is_bounded(tile: int, kernel: int, most: int) -> None:
    """In units of float32's epsilon and the output's size: the direct convolution's error depends on the CPU."""
    torch.manual_seed(0)
    x, weight = torch.randn(2, 64, 16, 16), torch.randn(64, 64, kernel, kernel) / (8 * kernel)
    exact = F.conv2d(x.double(), weight.double(), padding=kernel // 2)
    error = (fast_conv2d(x, weight, None, tile) - exact).norm() / exact.norm()
    assert error < most * torch.finfo(torch.float32).eps


def test_a_second_derivative_is_refused() -> None:
    x = torch.randn(1, 2, 4, 4, requires_grad=True)
    weight = torch.randn(2, 2, 3, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(fast_conv2d(x, weight, None, 2).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@pytest.mark.parametrize(("tile", "kernel"), TILES)
def test_a_transposed_convolution_of_stride_1(tile: int, kernel: int) -> None:
    x = torch.randn(2, 3, 7, 10, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 4, kernel, kernel, dtype=torch.float64, requires_grad=True)
    ours = fast_conv2d(x, weight, None, tile, transposed=True)
    plain = F.conv_transpose2d(x, weight, padding=kernel // 2)
    torch.testing.assert_close(ours, plain)
    cotangent = torch.randn_like(plain)
    for mine, expected in zip(*(grads(y, cotangent, x, weight) for y in (ours, plain)), strict=True):
        torch.testing.assert_close(mine, expected)


def test_the_same_call_gives_the_same_bits() -> None:
    x, weight = torch.randn(2, 8, 9, 9), torch.randn(8, 8, 5, 5)
    assert torch.equal(fast_conv2d(x, weight, None, 4), fast_conv2d(x, weight, None, 4))


def test_a_weight_is_transformed_once_until_its_gradient_is_known_or_it_changes() -> None:
    weight = torch.randn(3, 2, 3, 3, requires_grad=True)
    x = torch.randn(1, 2, 8, 8)
    with torch.no_grad():
        first = transformed_weight(weight, 2)
    y = fast_conv2d(x, weight, None, 2) + fast_conv2d(2 * x, weight, None, 2)
    assert transformed_weight(weight, 2) is first
    y.sum().backward()
    second = transformed_weight(weight, 2)
    assert second is not first
    assert transformed_weight(weight, 4).shape[0] == 36
    with torch.no_grad():
        weight += 1
    torch.testing.assert_close(transformed_weight(weight, 2), fast_conv._transform_weight(weight, 2, False))


@pytest.mark.parametrize("fused", [True, False])
def test_an_optimiser_s_step_is_seen(fused: bool) -> None:
    """A fused optimiser changes values without a new version of the tensor."""
    weight = torch.nn.Parameter(torch.randn(3, 2, 3, 3))
    optimizer = torch.optim.Adam([weight], lr=0.1, fused=fused)
    x = torch.randn(1, 2, 8, 8)
    for _ in range(2):
        fast_conv2d(x, weight, None, 2).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        torch.testing.assert_close(fast_conv2d(x, weight, None, 2), F.conv2d(x, weight, padding=1))


BLOCKS = (Block(0, 0, (0, 4), 0), Block(0, 0, (4, 6), 1), Block(1, 1, (0, 4), 0), Block(1, 1, (4, None), 2))


@pytest.mark.parametrize(("tile", "kernel"), TILES)
def test_sums_of_convolutions(tile: int, kernel: int) -> None:
    """Three sums of two convolutions' rows; 1×1 frames and single tiles too, where layouts coincide."""
    for size in [(2, 9, 13), (1, 4, 4), (1, 1, 1)]:
        batch, height, width = size
        xs = [torch.randn(batch, c, height, width, dtype=torch.float64, requires_grad=True) for c in (3, 5)]
        weights = [torch.randn(6, c, kernel, kernel, dtype=torch.float64, requires_grad=True) for c in (3, 5)]
        ours = fast_conv2d_blocks(BLOCKS, xs, weights, tile)
        x, h = (F.conv2d(x, weight, padding=kernel // 2) for x, weight in zip(xs, weights, strict=True))
        plain = (x[:, :4] + h[:, :4], x[:, 4:], h[:, 4:])
        cotangents = [torch.randn_like(y) for y in plain]
        found, expected = (
            torch.autograd.grad(sum((y * c).sum() for y, c in zip(ys, cotangents, strict=True)), [*xs, *weights])
            for ys in (ours, plain)
        )
        for mine, theirs in zip((*ours, *found), (*plain, *expected), strict=True):
            torch.testing.assert_close(mine, theirs)


def test_outputs_survive_the_next_call() -> None:
    """Scratch memory is used again; outputs and gradients must not lie in it."""
    x, weight = torch.randn(1, 2, 4, 4, requires_grad=True), torch.randn(2, 2, 3, 3, requires_grad=True)
    y = fast_conv2d(x, weight, None, 4)
    found = y.detach().clone(), *torch.autograd.grad(y.sum(), [x, weight], retain_graph=True)
    kept = [tensor.clone() for tensor in found]
    fast_conv2d(torch.randn_like(x).requires_grad_(), weight, None, 4).sum().backward()
    for tensor, before in zip((y, *found[1:]), kept, strict=True):
        assert torch.equal(tensor, before)


@pytest.mark.parametrize("outside", [True, False])
def test_gradients_through_a_rollout_and_activation_checkpoints(outside: bool) -> None:
    """Four steps share one transformed weight; its first use may lie inside a checkpoint."""
    weight = (torch.randn(2, 2, 3, 3, dtype=torch.float64) / 5).requires_grad_()
    start = torch.randn(1, 2, 5, 6, dtype=torch.float64)

    def rollout(conv: object, kept: bool) -> Tensor:
        x = start
        for step in range(4):
            wrapped = not kept and (step > 0 or not outside)
            x = checkpoint(conv, x, use_reentrant=False) if wrapped else conv(x)  # type: ignore[operator]
            x = torch.tanh(x)
        return x.square().sum()

    (ours,) = torch.autograd.grad(rollout(lambda x: fast_conv2d(x, weight, None, 4), False), weight)
    (plain,) = torch.autograd.grad(rollout(lambda x: F.conv2d(x, weight, padding=1), True), weight)
    torch.testing.assert_close(ours, plain)
