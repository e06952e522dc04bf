"""Initial weights of published blocks, for ``module.apply``."""

from __future__ import annotations

from torch import nn


def scale_convolution(module: nn.Module) -> None:
    """Draw a convolution's weight from normal(0, √(2/fan_out)), fan_out = k·k·C_out/groups, and set its bias to 0."""
    if isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
        _draw(module, (2.0 / fan_out) ** 0.5)


def shrink_convolution(module: nn.Module) -> None:
    """Draw a convolution's weight from normal(0, 0.02) and set its bias to 0."""
    if isinstance(module, nn.Conv2d):
        _draw(module, 0.02)


def shrink_linear(module: nn.Module) -> None:
    """Draw a linear map's weight from normal(0, 0.02) and set its bias to 0."""
    if isinstance(module, nn.Linear):
        _draw(module, 0.02)


def _draw(module: nn.Conv2d | nn.Linear, std: float) -> None:
    nn.init.normal_(module.weight, std=std)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
