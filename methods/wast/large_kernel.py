"""Depth-wise convolutions with a long and narrow kernel. Axes: B, C, H, W; K×k the kernel, K the long side."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WORTHWHILE = 2
"""Longest side of a frame, in kernels, up to which products of whole lines are the faster way to a gradient."""


class StripConv(nn.Conv2d):
    """Depth-wise height×width "same" conv of odd sides.

    On a CPU the weight's gradient is one matrix product per channel: the library's own takes several times as long,
    most of it for a kernel that is longer than the frame and reads padding.
    """

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__(channels, channels, (height, width), padding=(height // 2, width // 2), groups=channels)

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W), same shape. A tracer sees the one convolution that it is."""
        known = torch.jit.is_tracing() or torch.compiler.is_compiling()  # type: ignore[attr-defined, no-untyped-call]
        along = 2 if self.kernel_size[0] >= self.kernel_size[1] else 3
        far = input.shape[along] > WORTHWHILE * max(self.kernel_size)
        if known or far or input.device.type != "cpu":
            return super().forward(input)
        if torch.is_autocast_enabled("cpu"):
            input = input.to(torch.get_autocast_dtype("cpu"))
        assert self.bias is not None, "made with one"
        return _Strip.apply(input, self.weight.to(input.dtype), self.bias.to(input.dtype))  # type: ignore[no-any-return]


class _Strip(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        with torch.autocast("cpu", enabled=False):
            return F.conv2d(x, weight, bias, padding=_reach(weight), groups=len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        (gradient,), (x, weight) = gradients, ctx.saved_tensors
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = F.conv2d(gradient, weight.flip(2, 3), padding=_reach(weight), groups=len(weight))
        if weight.shape[2] >= weight.shape[3]:
            grad_weight = weight_gradient(x, gradient, weight.shape[2], weight.shape[3])
        else:
            turned = weight_gradient(x.mT, gradient.mT, weight.shape[3], weight.shape[2])
            grad_weight = turned.transpose(2, 3).contiguous()
        return grad_x, grad_weight, gradient.sum((0, 2, 3))


def _reach(weight: Tensor) -> tuple[int, int]:
    return weight.shape[2] // 2, weight.shape[3] // 2


def weight_gradient(x: Tensor, gradient: Tensor, long: int, narrow: int) -> Tensor:
    """Gradient of a depth-wise "same" conv's weight: each channel's columns of input times those of its gradient.

    Entry (i, j) of the product of the s-th shift says how output row i hangs on input row j, so that the weight at
    distance j − i is the sum of a diagonal.

    Args:
        x: input, (B, C, H, W).
        gradient: of the output, the same shape.
        long, narrow: odd sides K (along H) and k of the kernel.

    Returns:
        (C, 1, K, k).
    """
    batch, channels, height, width = x.shape
    padded = F.pad(x.permute(1, 2, 0, 3), (narrow // 2, narrow // 2))
    shifted = torch.stack([padded[..., s : s + width] for s in range(narrow)], dim=1)
    lines = shifted.reshape(channels, narrow * height, batch * width)
    outer = torch.bmm(gradient.permute(1, 2, 0, 3).reshape(channels, height, -1), lines.mT)
    by_distance = _diagonals(outer.view(channels, height, narrow, height).transpose(1, 2))
    margin = long // 2 - (height - 1)
    return F.pad(by_distance, (margin, margin)).transpose(1, 2).contiguous()[:, None]  # a negative margin crops


def _diagonals(square: Tensor) -> Tensor:
    """Sums over the diagonals of (…, H, H): (…, 2H−1), the distance −(H−1) first."""
    side = square.shape[-1]
    sheared = F.pad(square.flip(-2), (0, side)).flatten(-2)[..., : side * 2 * side - side]
    return sheared.reshape(*square.shape[:-2], side, 2 * side - 1).sum(-2)
