"""PhyDNet (Le Guen & Thome, "Disentangling Physical Dynamics from Unknown Factors", CVPR 2020, arXiv 2003.01460).

Axes: B, T, C, H, W.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor, nn

from stbench.errors import UserError
from stbench.nn import (
    ConvChain,
    EncoderConfig,
    Known,
    Paper,
    Progress,
    PublicLayout,
    RecurrentForecaster,
    StridedCodec,
    mean_squared_error,
    recompute,
)
from stbench.nn.infer import known, size
from stbench.nn.output import OutputActivation, fitting_activation
from stbench.schema import Benchmark, ClipShape

from .codec import GROUPS, DownBlock, PhyCodec, UpBlock
from .moments import moment_basis, moment_loss
from .presets import PRESETS

DERIVATIVE_KERNEL = 7
DERIVATIVES = DERIVATIVE_KERNEL**2
BRANCH_WIDTHS = (2, 2, 1)
FORCING_DECAY = 0.003


class PhyDNetConfig(EncoderConfig):
    """Hyperparameters of PhyDNet.

    ``hid_s``: width of the features. ``patch``: factor by which the encoder shrinks a frame. ``moment_weight``: weight
    of the moment loss. ``teacher_forcing``: feeds true futures with probability max(0, 1 − 0.003·epoch), drawn once per
    batch. The sigmoid limits the output to [0, 1].
    """

    hid_s: PositiveInt = 64
    patch: Literal[2, 4] = 4
    moment_weight: NonNegativeFloat = 1.0
    teacher_forcing: bool = True
    output_activation: OutputActivation = "sigmoid"


Layers = list[tuple[Tensor, Tensor]]
"""(h, c) of each layer of the residual branch."""


class PhyState(NamedTuple):
    """Hidden state of the physical branch, and of the residual branch's layers."""

    physical: Tensor
    layers: Layers


class PhyCell(nn.Module):
    """Predict h̃ = h + F(h) with learned derivatives, then correct to h̃ + K⊙(u − h̃) with a gate (eqs. 6–9)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.derivatives = nn.Sequential()
        self.derivatives.add_module(
            "conv1", nn.Conv2d(width, DERIVATIVES, DERIVATIVE_KERNEL, padding=DERIVATIVE_KERNEL // 2)
        )
        self.derivatives.add_module("bn1", nn.GroupNorm(DERIVATIVE_KERNEL, DERIVATIVES))
        self.derivatives.add_module("conv2", nn.Conv2d(DERIVATIVES, width, 1))
        self.gate = nn.Conv2d(2 * width, width, 3, padding=1)

    def forward(self, u: Tensor, h: Tensor) -> Tensor:
        """Map input u and hidden state h, both (B, width, H', W'), to the new h."""
        predicted = h + self.derivatives(h)
        gain = torch.sigmoid(self.gate(torch.cat([u, h], dim=1)))
        return predicted + gain * (u - predicted)  # type: ignore[no-any-return]


class ResidualCell(nn.Module):
    """ConvLSTM layer of the residual branch: one 3×3 conv of [x, h], gates in the order (i, f, o, g)."""

    def __init__(self, c_in: int, n: int) -> None:
        super().__init__()
        self.n = n
        self.conv = nn.Conv2d(c_in + n, 4 * n, 3, padding=1)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        """Map x (B, C_in, H', W') and h (B, n, H', W') to the gates (B, 4n, H', W')."""
        return self.conv(torch.cat([x, h], dim=1))  # type: ignore[no-any-return]


class ResidualBranch(nn.ModuleList):
    """The layers in sequence. Training stores gates and states; the backward pass recomputes each layer's output."""

    def forward(self, x: Tensor, layers: Layers) -> Layers:
        """Map features (B, C_in, H', W') and the (h, c) of all layers to the new (h, c) of all layers."""
        (h, c), *others = layers
        gates = self[0](x, h)
        updated = []
        for cell, (next_h, next_c) in zip(list(self)[1:], others, strict=True):
            h, c, gates = recompute(partial(_follow, cell), gates, c, next_h)
            updated.append((h, c))
            c = next_c
        return [*updated, recompute(_lstm, gates, c)]


def _follow(cell: nn.Module, gates: Tensor, c: Tensor, next_h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return a layer's new h and c, and the gates of the next layer."""
    h, c = _lstm(gates, c)
    return h, c, cell(h, next_h)


def _lstm(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    i, f, o, g = gates.chunk(4, dim=1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


class PhyDNet(RecurrentForecaster):
    """PhyCell for the dynamics beside ConvLSTM for the residual, between a frame encoder and decoder."""

    Config = PhyDNetConfig
    config: PhyDNetConfig
    paper = Paper(
        title="Disentangling Physical Dynamics from Unknown Factors for Unsupervised Video Prediction",
        authors="Le Guen & Thome",
        venue="CVPR 2020",
        url="https://arxiv.org/abs/2003.01460",
    )
    summary = "a PDE-constrained branch beside a ConvLSTM branch"
    small = {"hid_s": 32}
    leaves_out_missing = True
    presets = PRESETS
    public_layout = PublicLayout(
        renames=(
            (r"^cell\.derivatives\.", "phycell.cell_list.0.F."),
            (r"^cell\.gate\.", "phycell.cell_list.0.convgate."),
            (r"^residual\.", "convcell.cell_list."),
            (r"^codec\.(c\d)\.", r"encoder.encoder_E.\1."),
            (r"^codec\.(upc\d)\.", r"encoder.decoder_D.\1."),
            (r"^enter_physical\.0\.", "encoder.encoder_Ep.c1."),
            (r"^enter_physical\.1\.", "encoder.encoder_Ep.c2."),
            (r"^enter_residual\.0\.", "encoder.encoder_Er.c1."),
            (r"^enter_residual\.1\.", "encoder.encoder_Er.c2."),
            (r"^leave_physical\.0\.", "encoder.decoder_Dp.upc1."),
            (r"^leave_physical\.1\.", "encoder.decoder_Dp.upc2."),
            (r"^leave_residual\.0\.", "encoder.decoder_Dr.upc1."),
            (r"^leave_residual\.1\.", "encoder.decoder_Dr.upc2."),
        ),
        dead=(r"k2m\._(inv)?M[01]",),
        copies=((r"^encoder\.(phycell|convcell)\.", r"\1."),),
    )

    def __init__(self, shape: ClipShape, config: PhyDNetConfig) -> None:
        super().__init__(shape, config)
        width = config.hid_s
        multiple = GROUPS if config.encoder == "shared" else 2 * GROUPS
        if width % multiple:
            raise UserError(f"hid_s = {width}: PhyDNet's normalisation needs a multiple of {multiple}.")
        self.codec = self._codec(shape, config)
        self.enter_physical = ConvChain(DownBlock(width, width), DownBlock(width, width))
        self.enter_residual = ConvChain(DownBlock(width, width), DownBlock(width, width))
        self.leave_physical = ConvChain(UpBlock(width, width), UpBlock(width, width))
        self.leave_residual = ConvChain(UpBlock(width, width), UpBlock(width, width))
        self.cell = PhyCell(width)
        widths = [width] + [factor * width for factor in BRANCH_WIDTHS]
        self.residual = ResidualBranch(ResidualCell(c_in, n) for c_in, n in pairwise(widths))
        self.register_buffer("moment_basis", moment_basis(DERIVATIVE_KERNEL), persistent=False)

    @staticmethod
    def _codec(shape: ClipShape, config: PhyDNetConfig) -> PhyCodec | StridedCodec:
        if config.encoder == "paper":
            return PhyCodec(shape, config.patch, config.hid_s)
        return StridedCodec(
            shape,
            hid_s=config.hid_s,
            n_s=config.n_s,
            hidden=config.hid_s,
            kernel_enc=config.kernel_enc,
            kernel_dec=config.kernel_dec,
        )

    @classmethod
    def adapt(cls, benchmark: Benchmark) -> dict[str, Any]:
        """Drop the sigmoid if the benchmark has values outside [0, 1]."""
        return fitting_activation(benchmark)

    @classmethod
    def infer_config(cls, state_dict: Mapping[str, Tensor], shape: ClipShape) -> dict[str, Any]:  # noqa: ARG003
        """Infer the width of the features; ``patch`` is a stride, which tensor shapes do not show."""
        return known(hid_s=size(state_dict, "phycell.cell_list.0.F.conv2.weight", 0))

    def idle_macs(self) -> int:
        """Count the moment loss's two matrix products per kernel, which only training needs."""
        return 2 * DERIVATIVE_KERNEL * self.cell.derivatives.conv1.weight.numel()  # type: ignore[union-attr, operator]

    def initial_state(self, frame: Tensor) -> PhyState:
        """Return zeros for both branches."""

        def zeros(channels: int) -> Tensor:
            return torch.zeros(
                frame.shape[0],
                channels,
                self.codec.height,
                self.codec.width,
                device=frame.device,
                dtype=frame.dtype,
            )

        width = self.codec.channels
        return PhyState(zeros(width), [(zeros(k * width), zeros(k * width)) for k in BRANCH_WIDTHS])

    def step(self, frame: Tensor, state: PhyState) -> tuple[Tensor, PhyState]:
        """Predict the frame after ``frame`` (B, C, H, W); return it and the new state."""
        features, skip = self.codec.encode(frame)
        physical = self.cell(self.enter_physical(features), state.physical)
        layers = self.residual(self.enter_residual(features), state.layers)
        guess = self.codec.decode(self.leave_physical(physical) + self.leave_residual(layers[-1][0]), skip)
        if self.config.output_activation == "sigmoid":
            guess = torch.sigmoid(guess)
        return guess, PhyState(physical, layers)

    def draw_feed(self, batch: int, progress: Progress) -> Tensor:
        """Draw once per batch whether all future inputs are true frames or the model's predictions."""
        rate = max(0.0, 1.0 - FORCING_DECAY * progress.epoch) if self.config.teacher_forcing else 0.0
        forced = bool(torch.rand((), generator=progress.generator) < rate)
        past = torch.arange(self.shape.length - 1) < self.shape.t_in
        return (past | forced).expand(batch, -1)

    def moment_loss(self) -> Tensor:
        """Return the distance between the kernels' moments and those of partial derivatives (eq. 10)."""
        basis: Tensor = self.moment_basis  # type: ignore[assignment]
        return moment_loss(self.cell.derivatives.conv1.weight, basis)  # type: ignore[union-attr, arg-type]

    def rollout_losses(self, clip: Tensor, feed_true: Tensor, known: Known | None = None) -> dict[str, Tensor]:
        """Return the sum over emissions of the MSE, plus the weighted moment loss."""
        emissions = self.rollout(clip, feed_true)
        frames = mean_squared_error(emissions, clip[:, 1:], known) * emissions.shape[1]
        moments = self.moment_loss()
        return {"loss": frames + self.config.moment_weight * moments, "mse_sum": frames, "moment": moments}
