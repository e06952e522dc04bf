"""Counts of hits, misses, false alarms and correct negatives of each frame, shared by all event scores.

An event is a value of at least the threshold. Axes: B sequences, T lead times, C, H, W.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

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
    level = frames.in_model_space(threshold)
    predicted, observed = (at_least(x, level) for x in _pooled(frames, pool))
    known = None if frames.known is None else pooled_known(frames, pool)
    if known is not None:
        predicted &= known
    hits, forecasts, events = (_cells(x) for x in (predicted & observed, predicted, observed))
    cells = observed[0, 0].numel() if known is None else _cells(known)
    return Counts(
        hits + frames.undefined,
        events - hits + frames.undefined,
        forecasts - hits + frames.undefined,
        cells - events - forecasts + hits + frames.undefined,
    )


def _pooled(frames: Frames, pool: int) -> tuple[Tensor, Tensor]:
    """Return the largest values of blocks; blocks of blocks are made from what is there."""
    if pool == 1:
        return frames.pred_BTCHW, frames.true_BTCHW
    done: dict[int, tuple[Tensor, Tensor]] = frames.kept.setdefault("largest", {})
    if pool not in done:
        side = max((k for k in done if pool % k == 0), default=1)
        pred, true = done.get(side, (frames.pred_BTCHW, frames.true_BTCHW))
        done[pool] = largest(pred, pool // side), largest(true, pool // side)
    return done[pool]


def pooled_known(frames: Frames, pool: int) -> Tensor:
    """Return which blocks have a true value in every cell, (B, T, C, H', W') bool."""
    assert frames.known is not None
    return largest((~frames.known).float(), pool) == 0


def largest(x_BTCHW: Tensor, pool: int) -> Tensor:
    """Return the largest value of each complete block: (B, T, C, H, W) -> (B, T, C, H//k, W//k)."""
    rows, columns = (size // pool for size in x_BTCHW.shape[-2:])
    size = x_BTCHW.shape[:-2]
    by_row = x_BTCHW[..., : rows * pool, : columns * pool].reshape(*size, rows, pool, columns * pool).amax(-2)
    return by_row.reshape(*size, rows, columns, pool).amax(-1)


def at_least(x_BTCHW: Tensor, level: Tensor) -> Tensor:
    """Return ``x >= level`` as bool; numpy compares float32 on a CPU many times as fast as torch does."""
    if x_BTCHW.is_cpu and x_BTCHW.dtype == level.dtype:
        with np.errstate(invalid="ignore"):  # NaN is no event
            return torch.from_numpy(x_BTCHW.numpy() >= level.numpy())
    return x_BTCHW >= level


def _cells(x_BTCHW: Tensor) -> Tensor:
    return x_BTCHW.sum((2, 3, 4), dtype=torch.int32).double()
