"""SimVP's first translator: a U of inception units (Gao et al., CVPR 2022, §3.2). Axes: B, C, H, W."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stbench.errors import UserError
from stbench.nn import check_odd

SLOPE = 0.2


class GroupConv(nn.Module):
    """k×k grouped conv → GroupNorm → LeakyReLU(0.2); the conv has one group if the input width does not divide."""

    def __init__(self, c_in: int, c_out: int, kernel: int, groups: int) -> None:
        super().__init__()
        groups = groups if c_in % groups == 0 else 1
        if c_out % groups:
            raise UserError(
                f"The inception translator's width {c_out} does not divide into {groups} groups. "
                "Change groups, hid_t or hid_s."
            )
        self.conv = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, groups=groups)
        self.norm = nn.GroupNorm(groups, c_out)
        self.act = nn.LeakyReLU(SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C_in, H, W) to (B, C_out, H, W)."""
        return self.act(self.norm(self.conv(x)))  # type: ignore[no-any-return]


class InceptionUnit(nn.Module):
    """1×1 conv to ``hidden``, then the sum of one grouped conv per kernel size."""

    def __init__(self, c_in: int, hidden: int, c_out: int, kernels: tuple[int, ...], groups: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, hidden, 1)
        self.layers = nn.ModuleList(GroupConv(hidden, c_out, kernel, groups) for kernel in kernels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C_in, H, W) to (B, C_out, H, W)."""
        x = self.conv1(x)
        out: Tensor = self.layers[0](x)
        for layer in self.layers[1:]:
            out = out + layer(x)
        return out


class InceptionTranslator(nn.Module):
    """``n_t`` lower units, then ``n_t`` upper units that also read the outputs of the lower ones in reverse order.

    Args:
        channels: T_in·hid_S.

    Raises:
        UserError: ``n_t`` is below 2, a kernel is even, ``hid_t`` is odd or a width does not divide into the groups.
    """

    def __init__(self, channels: int, hid_t: int, n_t: int, kernels: tuple[int, ...], groups: int) -> None:
        super().__init__()
        if n_t < 2:
            raise UserError(f"n_t = {n_t}: the translator needs at least 2 units each way. Use n_t >= 2.")
        if hid_t % 2:
            raise UserError(f"hid_t = {hid_t}: the inception units work at half this width. Use an even number.")
        for kernel in kernels:
            check_odd(kernel, "kernels")

        def unit(c_in: int, c_out: int) -> InceptionUnit:
            return InceptionUnit(c_in, hid_t // 2, c_out, kernels, groups)

        inner = n_t - 1
        self.lower = nn.ModuleList([unit(channels, hid_t), *(unit(hid_t, hid_t) for _ in range(inner))])
        self.upper = nn.ModuleList(
            [unit(hid_t, hid_t), *(unit(2 * hid_t, hid_t) for _ in range(inner - 1)), unit(2 * hid_t, channels)]
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H', W') to the same shape."""
        skips: list[Tensor] = []
        for unit in self.lower:
            x = unit(x)
            skips.append(x)
        x = self.upper[0](skips.pop())
        for unit in self.upper[1:]:
            x = unit(torch.cat([x, skips.pop()], dim=1))
        return x
