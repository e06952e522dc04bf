"""Cells without a value: NaN, infinity and the fill values that files use. They stay NaN, are filled in, or refused.

Axes: T time, H height, W width, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from stbench.data.formats.recording import Frames, Recording
from stbench.data.frame_cache.cache import CachedRecording
from stbench.data.frame_cache.resize import FrameSize, middle
from stbench.errors import UserError

FILLS = np.array(
    [
        *(1e20, -1e20),  # climate models
        9.969209968386869e36,  # netCDF's default for floats
        1e15,  # MERRA
        *(3.4028234663852886e38, -3.4028234663852886e38),  # float32's limits: GDAL
        *(1e30, -1e30),  # ocean and land models
        *(-9999.0, -999.0, -99999.0, -32768.0, -32767.0, -99.9, -999.9, -9999.9, 9999.0, 99999.0),
    ],
    dtype=np.float32,
)
"""Values that stand for "nothing measured" where no attribute says so; they count only far from all other values."""


Fill = float | Literal["leave"] | None
"""What becomes of a missing value: a number in its place, NaN, or a refusal."""


def filled_in(frames_THWC: Frames, size: FrameSize, recording: Recording, fill: Fill) -> tuple[Frames, int]:
    """Return frames whose missing values are filled in or NaN, and how many they are; a crop is made first.

    Raises:
        UserError: values are missing and ``fill`` is None.
    """
    if size.fit == "crop":
        frames_THWC = middle(frames_THWC, (size.height, size.width))
    missing = missing_cells(frames_THWC)
    if missing is None:
        return frames_THWC, 0
    if fill is None:
        raise refused(recording, size)
    value = np.nan if fill == "leave" else fill
    return np.where(missing, np.asarray(value, frames_THWC.dtype), frames_THWC), int(missing.sum())


def missing_cells(frames_THWC: Frames) -> npt.NDArray[np.bool_] | None:
    """Return which values are missing; None if none is.

    A fill value counts if it lies farther from all other values than they lie from each other.
    """
    if frames_THWC.dtype.kind != "f":
        return None
    missing = ~np.isfinite(frames_THWC)
    while not missing.all():
        kept = frames_THWC[~missing] if missing.any() else frames_THWC
        low, high = float(kept.min()), float(kept.max())  # a fill value is the one or the other
        found = [value for value in (low, high) if _is_fill(value) and _stands_apart(kept, value)]
        if not found:
            break
        missing |= frames_THWC == found[0]
    return missing if missing.any() else None


def _is_fill(value: float) -> bool:
    return bool((np.float32(value) == FILLS).any())


def _stands_apart(values: Frames, value: float) -> bool:
    rest = values[values != values.dtype.type(value)].astype(np.float64)
    return not rest.size or bool(np.abs(rest - value).min() > rest.max() - rest.min())


def lacking(cached: Sequence[CachedRecording], recordings: Sequence[Recording]) -> str:
    """Say which share of the values is missing and what is done about it; empty if none is."""
    values = sum(recording.length * int(np.prod(recording.frame)) for recording in recordings)
    filled, missing = (sum(getattr(one, name) for one in cached) for name in ("filled", "missing"))
    if filled:
        return f"{100 * filled / values:.3g} % of the values were missing and are filled in as asked"
    if missing:
        return f"{100 * missing / values:.3g} % of the values are missing and left out of losses and metrics"
    return ""


def refused(recording: Recording, size: FrameSize) -> UserError:
    """Read the whole recording to say which share of it is missing and where."""
    count = total = frames = position = 0
    first: int | None = None
    always: npt.NDArray[np.bool_] | None = None
    values: set[float] = set()
    for block in recording.blocks():
        seen = middle(block, (size.height, size.width)) if size.fit == "crop" else block
        missing = missing_cells(seen)
        missing = np.zeros(seen.shape, dtype=bool) if missing is None else missing
        values |= set(np.unique(seen[missing & np.isfinite(seen)]).tolist())
        affected = missing.any(axis=(1, 2, 3))
        if first is None and affected.any():
            first = position + int(np.argmax(affected))
        count, total, frames = count + int(missing.sum()), total + missing.size, frames + int(affected.sum())
        both: npt.NDArray[np.bool_] = np.asarray(missing.all(axis=(0, 3)))
        always = both if always is None else np.logical_and(always, both)
        position += len(block)
    fixed = 0 if always is None else int(always.sum())
    what = "NaN or infinity" + "".join(f" or the fill value {value:g}" for value in sorted(values))
    place = f"in {frames} of {position} frames" + (f", {fixed} cells in every frame" if fixed else "")
    return UserError(
        f"{recording.paths[0]}: recording {recording.name!r} holds {what}: {100 * count / max(1, total):.3g} % of the "
        f"values are missing, first near frame {first}, {place}. This benchmark expects complete data: get the file "
        "again, or let the benchmark's reader leave missing cells out of losses and metrics (dataset.options.missing: "
        "mask)."
    )
