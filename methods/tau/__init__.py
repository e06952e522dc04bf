"""TAU: Temporal Attention Unit (Tan et al., CVPR 2023, arXiv 2206.12126). Axes: B, T, C, H, W."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from stbench.nn import EncoderConfig, Known, Paper, Progress, PublicLayout, mean_squared_error
from stbench.nn.gated_stack import DecomposedConv, GatedStack
from stbench.nn.infer import gated_config
from stbench.nn.stacked import GATED_STACK_RENAMES, STRIDED_RENAMES, StackedForecaster
from stbench.schema import ClipShape

from .presets import PRESETS

Rate = Annotated[float, Field(ge=0, lt=1)]


class TAUConfig(EncoderConfig):
    """Hyperparameters of TAU; the defaults are the widths of its Moving MNIST setting with a two-block encoder."""

    hid_s: PositiveInt = 32
    hid_t: PositiveInt = 256
    n_s: PositiveInt = 2
    n_t: PositiveInt = 8
    mlp_ratio: PositiveFloat = 8.0
    drop: Rate = 0.0
    drop_path: Rate = 0.1
    statical_attention: bool = True
    dynamical_attention: bool = True
    ddr_weight: NonNegativeFloat = 0.1
    ddr_temperature: PositiveFloat = 0.1


class TemporalAttention(nn.Module):
    """TAU(v) = DA(v) ⊙ SA(v) ⊙ v: dynamical attention between frames, statical attention inside them (§3.2)."""

    def __init__(self, channels: int, *, statical: bool, dynamical: bool) -> None:
        super().__init__()
        reduced = channels // max(channels // 16, 4)
        self.statical = DecomposedConv(channels, channels) if statical else None
        self.dynamical = (
            nn.Sequential(
                nn.Linear(channels, reduced, bias=False),
                nn.ReLU(),
                nn.Linear(reduced, channels, bias=False),
                nn.Sigmoid(),
            )
            if dynamical
            else None
        )

    def forward(self, v: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        # dynamical first: the gradient of v takes the memory layout of the branch that ran last
        weights = None if self.dynamical is None else self.dynamical(F.adaptive_avg_pool2d(v, 1).flatten(1))
        gated = v if self.statical is None else self.statical(v) * v
        return gated if weights is None else weights[:, :, None, None] * gated


def differential_divergence(
    pred: Tensor, true: Tensor, temperature: float = 0.1, eps: float = 1e-12, known: Known | None = None
) -> Tensor:
    """Return the differential divergence between predicted and true changes of frames (§3.3).

    It is the mean over (B, T−1, C·H·W) of p·log(p/(q+ε)+ε), with p and q the softmax over C·H·W of predicted and true
    frame differences divided by ``temperature``. The paper writes sums for this term and the MSE; means keep the ratio.

    Args:
        pred, true: (B, T, C, H, W).
        known: cells with a value; the softmax is over changes between two of them, others add 0. None: all.

    Returns:
        A scalar, 0 when T ≤ 2.
    """
    if pred.shape[1] <= 2:
        return pred.new_zeros(())
    changes = [x.diff(dim=1).flatten(2) / temperature for x in (pred, true)]
    if known is None:
        p, q = (F.softmax(change, dim=-1) for change in changes)
        return (p * torch.log(p / (q + eps) + eps)).mean()
    both = (known.mask[:, 1:] & known.mask[:, :-1]).flatten(2)
    p, q = (F.softmax(x.masked_fill(~both, torch.finfo(x.dtype).min), dim=-1) for x in changes)
    divergence = (p * torch.log(p / (q + eps) + eps)).where(both, 0.0)
    return known.frames(1).mean(divergence.view_as(pred[:, 1:]))


class TAU(StackedForecaster):
    """Encoder → temporal attention units → decoder, trained with a differential divergence loss."""

    Config = TAUConfig
    config: TAUConfig
    paper = Paper(
        title="Temporal Attention Unit: Towards Efficient Spatiotemporal Predictive Learning",
        authors="Tan et al.",
        venue="CVPR 2023",
        url="https://arxiv.org/abs/2206.12126",
    )
    summary = "statical attention inside frames, dynamical attention between them; feed-forward"
    variants = {
        "no_sa": {"statical_attention": False},
        "no_da": {"dynamical_attention": False},
        "no_ddr": {"ddr_weight": 0.0},
    }
    leaves_out_missing = True
    presets = PRESETS
    public_layout = PublicLayout(
        renames=(
            *STRIDED_RENAMES,
            *GATED_STACK_RENAMES,
            (r"\.spatial_gating_unit\.statical\.", ".spatial_gating_unit."),
            (r"\.spatial_gating_unit\.dynamical\.", ".spatial_gating_unit.fc."),
        ),
    )

    @classmethod
    def infer_config(cls, state_dict: Mapping[str, Tensor], shape: ClipShape) -> dict[str, Any]:
        """Infer the sizes of encoder, decoder and stack, and which of the two attentions are present."""
        gate = "hid.enc.0.block.attn.spatial_gating_unit."
        parts = {"statical_attention": f"{gate}conv1.weight", "dynamical_attention": f"{gate}fc.0.weight"}
        found = {name: key in state_dict for name, key in parts.items()}
        sizes = {**super().infer_config(state_dict, shape), **gated_config(state_dict)}
        return {**sizes, **found} if "hid_t" in sizes else sizes

    def __init__(self, shape: ClipShape, config: TAUConfig) -> None:
        def gate(channels: int) -> TemporalAttention:
            return TemporalAttention(channels, statical=config.statical_attention, dynamical=config.dynamical_attention)

        temporal = GatedStack(
            shape.t_in * config.hid_s,
            config.hid_t,
            config.n_t,
            gate,
            mlp_ratio=config.mlp_ratio,
            drop=config.drop,
            drop_path=config.drop_path,
            # the public code creates the attention after it initialises the block, so the framework's weights remain
            initial_gate="framework",
        )
        super().__init__(shape, config, temporal)

    def training_losses(self, past: Tensor, future: Tensor, progress: Progress) -> dict[str, Tensor]:
        """Return MSE + ``ddr_weight`` · differential divergence (eq. 8)."""
        pred = self(past)
        known = progress.known_from(self.shape.t_in)
        mse = mean_squared_error(pred, future, known)
        if self.config.ddr_weight == 0:
            return {"loss": mse, "mse": mse}
        ddr = differential_divergence(pred, future, self.config.ddr_temperature, known=known)
        return {"loss": mse + self.config.ddr_weight * ddr, "mse": mse, "ddr": ddr}
