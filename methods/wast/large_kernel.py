"""Depth-wise convolutions with a long and narrow kernel. Axes: B, C, H, W; K×k the kernel, K the long side."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WORTHWHILE = 2
"""Largest frame side, in kernel sides, for which the gradient as a matrix product is faster."""


class StripConv(nn.Conv2d):
    """Depth-wise height×width "same" conv of odd sides.

    On a CPU the weight's gradient is computed as one matrix product per channel. The library's gradient takes several
    times as long, mostly on padding when the kernel is longer than the frame.
    """

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__(channels, channels, (height, width), padding=(height // 2, width // 2), groups=channels)

    def forward(self, input: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape. Tracing and compiling see a plain convolution."""
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
    """Return the weight gradient of a depth-wise "same" conv, computed as one matrix product per channel.

    For each shift s along the narrow side, entry (i, j) of the product sums gradient row i times input row j. The
    kernel weight at distance j − i is therefore the sum of one diagonal.

    Args:
        x: input, (B, C, H, W).
        gradient: gradient of the output, same shape.
        long, narrow: odd kernel sides K (along H) and k (along W).

    Returns:
        (C, 1, K, k).
    """
    batch, channels, height, width = x.shape
    padded = F.pad(x.permute(1, 2, 0, 3), (narrow // 2, narrow // 2))
    shifted = torch.stack([padded[..., s : s + width] for s in range(narrow)], dim=1)
    lines = shifted.reshape(channels, narrow * height, batch * width)
    outer = torch.bmm(gradient.permute(1, 2, 0, 3).reshape(channels, height, -1), lines.mT)
    square = outer.view(channels, height, narrow, height).transpose(1, 2)
    # padding each row by H zeros and cutting rows of 2H−1 shifts row i by i: diagonals become columns
    sheared = F.pad(square.flip(-2), (0, height)).flatten(-2)[..., : height * (2 * height - 1)]
    by_distance = sheared.reshape(channels, narrow, height, 2 * height - 1).sum(-2)  # distance −(H−1) first
    margin = long // 2 - (height - 1)
    return F.pad(by_distance, (margin, margin)).transpose(1, 2).contiguous()[:, None]  # a negative margin crops
