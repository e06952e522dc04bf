"""Counts of hits, misses, false alarms and correct negatives of each frame, shared by all event scores.

An event is a value of at least the threshold. Axes: B sequences, T lead times, C, H, W.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn.functional import max_pool2d

if TYPE_CHECKING:
    from torch import Tensor

    from stbench.metrics.frames import Frames


class Counts(NamedTuple):
    """Cells of each frame, (B, T) float64 each: event predicted and observed (hit), observed only (miss), and so on."""

    hits: Tensor
    misses: Tensor
    false_alarms: Tensor
    correct_negatives: Tensor


def count_events(frames: Frames, threshold: float, pool: int = 1) -> Counts:
    """Count the cells of each frame without cells that lack a true value; NaN if the prediction is not finite.

    Args:
        frames: the frames, with their map to physical units.
        threshold: threshold of an event, in physical units.
        pool: side of blocks in cells, of which the largest value counts; incomplete blocks at the edge are dropped.
    """
    key = ("events", threshold, pool)
    if key not in frames.kept:
        frames.kept[key] = _count(frames, threshold, pool)
    found: Counts = frames.kept[key]
    return found


def _count(frames: Frames, threshold: float, pool: int) -> Counts:
    pred, true = _pooled(frames, pool)
    level = frames.in_model_space(threshold)
    predicted, observed = pred >= level, true >= level
    known = None if frames.known is None else pooled_known(frames, pool)
    if known is not None:
        predicted &= known
    hits, forecasts, events = (_cells(x) for x in (predicted & observed, predicted, observed))
    cells = pred[0, 0].numel() if known is None else _cells(known)
    return Counts(
        hits + frames.undefined,
        events - hits + frames.undefined,
        forecasts - hits + frames.undefined,
        cells - events - forecasts + hits + frames.undefined,
    )


def _pooled(frames: Frames, pool: int) -> tuple[Tensor, Tensor]:
    key = ("largest", pool)
    if key not in frames.kept:
        frames.kept[key] = largest(frames.pred_BTCHW, pool), largest(frames.true_BTCHW, pool)
    found: tuple[Tensor, Tensor] = frames.kept[key]
    return found


def pooled_known(frames: Frames, pool: int) -> Tensor:
    """Return which blocks have a true value in every cell, (B, T, C, H', W') bool."""
    assert frames.known is not None
    return largest((~frames.known).float(), pool) == 0


def largest(x_BTCHW: Tensor, pool: int) -> Tensor:
    """Return the largest value of each complete block: (B, T, C, H, W) -> (B, T, C, H//k, W//k)."""
    if pool == 1:
        return x_BTCHW
    found: Tensor = max_pool2d(x_BTCHW.flatten(0, 1).float(), pool)
    return found.view(*x_BTCHW.shape[:2], *found.shape[1:])


def _cells(x_BTCHW: Tensor) -> Tensor:
    return torch.count_nonzero(x_BTCHW.flatten(2), dim=-1).double()
