"""Convert frames to one size and number of channels.

Axes: T time, H height, W width, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from PIL import Image

from stbench.data.formats.recording import Frames
from stbench.schema import Record

Fit = Literal["crop", "cover", "stretch"]
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601, as Pillow converts to grey


class FrameSize(Record):
    """Size and channels that frames are converted to.

    Attributes:
        height, width: pixels.
        channels: 1 converts colour to luminance; any other number must be that of the frames, unless they are grey.
        fit: ``crop`` cuts out the middle. ``cover`` scales until the target is covered, keeps the proportions, then
            cuts out the middle. ``stretch`` ignores the proportions.
    """

    height: int
    width: int
    channels: int
    fit: Fit = "cover"


def adapted(frames: Sequence[tuple[int, int, int]], size: FrameSize) -> str:
    """Return how frames (H, W, C) of other sizes or channels are converted, for the report; empty if they are not.

    >>> adapted([(32, 32, 1), (48, 40, 3)], FrameSize(height=32, width=32, channels=3))
    '; frames of 32×32, 48×40 are brought to 32×32 (cover), of 1, 3 channels to 3'
    """
    sizes = sorted({frame[:2] for frame in frames})
    channels = sorted({frame[2] for frame in frames})
    said = []
    if len(sizes) == 1 and sizes[0] != (size.height, size.width):
        (height, width), how = sizes[0], "their middle" if size.fit == "crop" else size.fit
        said.append(f"of {height}×{width} are brought to {size.height}×{size.width} ({how})")
    elif len(sizes) > 1:
        shown = [f"{height}×{width}" for height, width in (sizes if len(sizes) <= 3 else (sizes[0], sizes[-1]))]
        listing = ", ".join(shown) if len(sizes) <= 3 else f"{len(sizes)} sizes from {shown[0]} to {shown[1]}"
        said.append(f"of {listing} are brought to {size.height}×{size.width} ({size.fit})")
    if len(channels) > 1:
        said.append(f"of {', '.join(map(str, channels))} channels to {size.channels}")
    return "; frames " + ", ".join(said) if said else ""


def fit_frames(frames_THWC: Frames, size: FrameSize) -> Frames:
    """Return frames (T, C, H, W) of the requested size in the same type; resampling is linear with antialiasing."""
    frames = _with_channels(frames_THWC, size.channels)
    height, width = frames.shape[1:3]
    target = size.height, size.width
    if size.fit == "stretch":
        frames = _resized(frames, target)
    elif size.fit == "cover":
        scale = max(target[0] / height, target[1] / width)
        frames = _resized(frames, (max(target[0], round(height * scale)), max(target[1], round(width * scale))))
    return np.ascontiguousarray(middle(frames, target).transpose(0, 3, 1, 2))


def _with_channels(frames: Frames, channels: int) -> Frames:
    if frames.shape[-1] == channels:
        return frames
    if channels == 1 and frames.shape[-1] == 3:
        grey = frames.astype(np.float32) @ LUMA
        return (np.rint(grey) if frames.dtype == np.uint8 else grey).astype(frames.dtype)[..., None]
    if frames.shape[-1] == 1:
        return np.repeat(frames, channels, axis=-1)
    raise ValueError(f"frames of {frames.shape[-1]} channels cannot become {channels}")


def _resized(frames: Frames, target: tuple[int, int]) -> Frames:
    if frames.shape[1:3] == target:
        return frames
    made = np.empty((len(frames), *target, frames.shape[-1]), dtype=frames.dtype)
    for number, frame in enumerate(frames):
        for channel in range(frames.shape[-1]):
            plane = frame[..., channel]
            picture = Image.fromarray(plane if plane.dtype == np.uint8 else plane.astype(np.float32))
            made[number, ..., channel] = picture.resize((target[1], target[0]), Image.Resampling.BILINEAR)
    return made


def middle(frames: Frames, target: tuple[int, int]) -> Frames:
    """Return the middle (T, H, W, C) of frames."""
    top, left = ((have - want) // 2 for have, want in zip(frames.shape[1:3], target, strict=True))
    return frames[:, top : top + target[0], left : left + target[1]]
