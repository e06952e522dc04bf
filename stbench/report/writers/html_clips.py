"""Sample clips for a page: one PNG per clip and source, with frames stacked vertically.

Axes: T time, H height, W width.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from stbench.report.analysis.clips import Array, Clips, shared_clips, to_image
from stbench.report.analysis.table import Table
from stbench.report.encode import visible

SMALLEST = 32
"""Minimum size of shrunk frames in pixels."""


def encode_clips(table: Table, most_bytes: int) -> dict[str, Any] | None:
    """Encode recorded clips within ``most_bytes``, first with fewer clips, then smaller frames; None without clips."""
    clips = shared_clips(table)
    if clips is None:
        return None
    step, count = 1, len(clips.index)
    while True:
        encoded = [_clip(clips, number, step) for number in range(count)]
        size = sum(len(uri) for clip in encoded for uri in (clip["past"], clip["truth"], *clip["rows"].values()))
        side = min(clips.future.shape[-2:]) // step
        if size <= most_bytes or (count == 1 and side // 2 < SMALLEST):
            break
        count, step = (count - 1, step) if count > 1 else (count, step * 2)
    height, width = to_image(clips.past[0][0][:, ::step, ::step], clips.low, clips.high).shape[:2]
    return {
        "width": width,
        "height": height,
        "t_in": clips.past.shape[1],
        "t_out": clips.future.shape[1],
        "items": encoded,
    }


def _clip(clips: Clips, number: int, step: int) -> dict[str, Any]:
    def picture(frames: Sequence[Array]) -> str:
        return _data_uri(np.concatenate([to_image(_shrunk(f, step), clips.low, clips.high) for f in frames]))

    return {
        "index": int(clips.index[number]),
        "past": picture(clips.past[number]),
        "truth": picture(clips.future[number]),
        "rows": {visible(name): picture(prediction[number]) for name, prediction in clips.predictions.items()},
    }


def _shrunk(frame_CHW: Array, step: int) -> Array:
    """Average squares of step × step pixels; edges are repeated to fill a square."""
    channels, height, width = frame_CHW.shape
    rows, columns = -(-height // step), -(-width // step)
    padded = np.pad(frame_CHW, ((0, 0), (0, rows * step - height), (0, columns * step - width)), mode="edge")
    return np.asarray(padded.reshape(channels, rows, step, columns, step).mean(axis=(2, 4)))


def _data_uri(pixels: Any) -> str:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
