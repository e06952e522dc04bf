"""Cells without a value: how inputs are filled, and which cells of a target a loss leaves out.

A clip carries NaN where nothing was measured. Inputs are filled here, so no network reads a NaN. Targets keep a mask,
:class:`Known`, which losses get with :class:`stbench.nn.Progress`. Axes: B batch, T time, C channels, H, W.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

if TYPE_CHECKING:
    from stbench.nn.method import Method

FILL_RULE = "a cell's last value before, else its next one in the past, else the mean of the clip's past in its channel"
"""How missing inputs are filled, for people."""
_LOSSES = {"training_losses", "rollout_losses", "fit", "fit_at"}


@dataclass(frozen=True)
class Known:
    """Cells of target frames that have a value.

    Attributes:
        mask: (B, T, C, H, W) bool, True where a value is known, for the clips of this process and forward pass.
        share: (T,) share of known cells of each frame over the whole global batch, float64. A mean divided by it is the
            same however the batch is split into passes and processes.
    """

    mask: Tensor
    share: Tensor

    def frames(self, start: int) -> Known:
        """Return the same from frame ``start`` on."""
        return Known(self.mask[:, start:], self.share[start:])

    def rows(self, start: int, stop: int) -> Known:
        """Return the same for some clips of the batch."""
        return Known(self.mask[start:stop], self.share)

    def mean(self, values_BTCHW: Tensor) -> Tensor:
        """Return the mean over known cells; the values at others count nothing, and no gradient flows through them."""
        share = self.share.mean().clamp(min=1 / max(1, values_BTCHW.numel())).to(values_BTCHW.dtype)
        return values_BTCHW.where(self.mask, 0.0).mean() / share

    @classmethod
    def of(cls, clip_BTCHW: Tensor, total: Callable[[Tensor], Tensor]) -> Self:
        """Return the known cells of clips with NaN; ``total`` sums a tensor over processes."""
        mask = ~clip_BTCHW.isnan()
        known_T = mask.sum((0, 2, 3, 4)).double()
        counts = total(torch.stack([known_T, torch.full_like(known_T, mask[:, 0].numel())]))
        return cls(mask, counts[0] / counts[1])


def mean_squared_error(pred: Tensor, true: Tensor, known: Known | None) -> Tensor:
    """Return the mean of (pred − true)² over known cells; over all where ``known`` is None."""
    return torch.nn.functional.mse_loss(pred, true) if known is None else known.mean((pred - true).square())


def mean_absolute_error(pred: Tensor, true: Tensor, known: Known | None) -> Tensor:
    """Return the mean of |pred − true| over known cells; over all where ``known`` is None."""
    return torch.nn.functional.l1_loss(pred, true) if known is None else known.mean((pred - true).abs())


def fill_past(past_BTCHW: Tensor) -> Tensor:
    """Replace NaN by the cell's last value before, else its next one, else the mean of the clip's channel, else 0.

    >>> fill_past(torch.tensor([torch.nan, 1.0, torch.nan]).view(1, 3, 1, 1, 1)).flatten().tolist()
    [1.0, 1.0, 1.0]
    """
    known = ~past_BTCHW.isnan()
    cells = known.sum((1, 3, 4), keepdim=True)
    mean = past_BTCHW.where(known, 0).sum((1, 3, 4), keepdim=True) / cells.clamp(min=1)
    filled = _carried(_carried(past_BTCHW).flip(1)).flip(1)
    return filled.where(~filled.isnan(), mean)


def fill_clip(clip_BTCHW: Tensor, t_in: int) -> Tensor:
    """Fill the past by :func:`fill_past`, then each missing value of the future by the one before it.

    The past does not see the future. Filled futures feed rollouts in training; losses leave them out.
    """
    past = fill_past(clip_BTCHW[:, :t_in])
    return torch.cat([past, _carried(torch.cat([past[:, -1:], clip_BTCHW[:, t_in:]], dim=1))[:, 1:]], dim=1)


def _carried(x_BTCHW: Tensor) -> Tensor:
    """Return frames with each NaN replaced by the cell's value in the frame before."""
    frames = [x_BTCHW[:, 0]]
    for frame in x_BTCHW.unbind(1)[1:]:
        frames.append(torch.where(frame.isnan(), frames[-1], frame))
    return torch.stack(frames, dim=1)


def why_not_missing(method: type[Method]) -> str | None:
    """Return the reason why a method cannot be fitted to data with missing cells, or None.

    A class that defines losses or a fit of its own must also declare ``leaves_out_missing``.
    """
    for owner in method.__mro__:
        if "leaves_out_missing" in vars(owner):
            return None if method.leaves_out_missing else f"{method.__name__} cannot leave out missing cells"
        own = sorted(_LOSSES & vars(owner).keys())
        if own:
            return (
                f"{owner.__name__}.{own[0]} is not known to leave out missing cells (progress.known): the data lack "
                "values. Declare leaves_out_missing = True on a method that does, or give the missing cells a value "
                "(--fill)"
            )
    return None
