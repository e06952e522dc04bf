"""Depth-wise convolutions against the library's."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from stbench.nn.depthwise import DepthwiseConv


def both(conv: DepthwiseConv, x: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Output and gradients (of input, weight and bias), by ours and by one library convolution."""
    plain = F.conv2d(x, conv.weight, conv.bias, padding=conv.padding, dilation=conv.dilation, groups=conv.groups)  # type: ignore[arg-type]
    cotangent = torch.rand_like(plain)
    inputs = (x, conv.weight, conv.bias)
    found = []
    for output in (conv(x), plain):
        gradients = torch.autograd.grad((output * cotangent).sum(), inputs)  # type: ignore[arg-type]
        found.append([output, *gradients])
    return found[0], found[1]


@pytest.mark.parametrize(("height", "width"), [(16, 16), (9, 12), (7, 20), (2, 1), (1, 31), (4, 4)])
@pytest.mark.parametrize(("kernel", "dilation"), [(7, 3), (3, 2), (5, 1), (7, 1), (3, 4)])
def test_it_is_the_library_s_convolution(height: int, width: int, kernel: int, dilation: int) -> None:
    conv = DepthwiseConv(3, kernel, dilation).double()
    ours, plain = both(conv, torch.rand(2, 3, height, width, dtype=torch.float64, requires_grad=True))
    torch.testing.assert_close(ours, plain)


@pytest.mark.parametrize(("kernel", "dilation"), [(5, 1), (7, 3)])
def test_autocast_computes_in_bfloat16_and_gives_float32_gradients(kernel: int, dilation: int) -> None:
    conv = DepthwiseConv(8, kernel, dilation)
    x = torch.rand(4, 8, 16, 16, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        output = conv(x)
    assert output.dtype == torch.bfloat16
    cotangent = torch.randn_like(output)
    found = torch.autograd.grad((output * cotangent).sum(), (x, conv.weight, conv.bias))  # type: ignore[arg-type]
    plain = F.conv2d(x, conv.weight, conv.bias, padding=conv.padding, dilation=conv.dilation, groups=8)  # type: ignore[arg-type]
    expected = torch.autograd.grad((plain * cotangent.float()).sum(), (x, conv.weight, conv.bias))  # type: ignore[arg-type]
    for ours, exact in zip(found, expected, strict=True):
        assert ours.dtype == torch.float32
        assert (ours - exact).norm() < 0.01 * exact.norm()


def test_an_input_without_gradient_leaves_the_weight_s_as_it_is() -> None:
    conv, x = DepthwiseConv(3, 7), torch.rand(2, 3, 8, 8)
    weight = [torch.autograd.grad(conv(given).sum(), conv.weight)[0] for given in (x, x.clone().requires_grad_())]
    torch.testing.assert_close(*weight)
