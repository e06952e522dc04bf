"""The sample clips of a run folder, ``samples.npz``; the file may come from anywhere."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stbench.schema.shape import ClipShape

MOST_SAMPLES = 16
"""Test clips that a run may keep whole; scoring keeps a few."""
HEADERS = 1 << 16
"""Bytes of a file of arrays besides their values."""


def read_samples(file: Path, shape: ClipShape) -> dict[str, NDArray[Any]]:
    """Recorded test clips: index (K,), past, future, prediction (K, T, C, H, W); empty if missing or damaged."""
    if not file.is_file():
        return {}
    try:
        return _arrays_of(file, shape)
    except Exception:  # a damaged file fails in any way
        return {}


def _arrays_of(file: Path, shape: ClipShape) -> dict[str, NDArray[Any]]:
    """The arrays of a file of test clips, whose sizes are looked at before they are unpacked.

    Raises:
        ValueError: they are not of this shape, or too large.
    """
    with zipfile.ZipFile(file) as archive:
        size = sum(part.file_size for part in archive.infolist())
    clip = 8 * (shape.length + shape.t_out) * math.prod(shape.frame)
    if size > MOST_SAMPLES * clip + HEADERS:
        raise ValueError(f"{size} bytes")
    with np.load(file, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in ("index", "past", "future", "prediction")}
    clips = len(arrays["index"])
    for name, frames in (("past", shape.t_in), ("future", shape.t_out), ("prediction", shape.t_out)):
        if arrays[name].shape != (clips, frames, *shape.frame) or arrays[name].dtype.kind != "f":
            raise ValueError(f"{name} has another shape or type")
    if arrays["index"].shape != (clips,) or arrays["index"].dtype.kind not in "iu" or not clips:
        raise ValueError("index has another shape or type")
    return arrays
