"""One predicted clip as an animated GIF: past frames, then predicted ones, one panel per channel. Axes: T, C, H, W."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from stbench.files import write_gif

PANEL = 160
"""Pixels to which the shorter side of a small frame is enlarged."""
BORDER, CAPTION = 4, 16
MILLISECONDS, HOLD_MILLISECONDS = 350, 1000
PAST_COLOUR, FUTURE_COLOUR = (110, 110, 110), (0, 114, 178)
COLOUR_MAP = "viridis"
RGB = 3


def draw_prediction(path: Path, past: npt.NDArray[Any], future: npt.NDArray[Any]) -> None:
    """Write past (T_in, C, H, W), with a grey border, and future (T, C, H, W), with a blue one, as an animation.

    Three channels are shown as colours, any other number as panels side by side, on one brightness scale.
    """
    low = float(min(past.min(), future.min()))
    high = float(max(past.max(), future.max()))
    frames = [
        _framed(_panels(frame, low, high), f"past {t - len(past) + 1}", PAST_COLOUR) for t, frame in enumerate(past)
    ]
    frames += [
        _framed(_panels(frame, low, high), f"predicted +{t + 1}", FUTURE_COLOUR) for t, frame in enumerate(future)
    ]
    durations = [MILLISECONDS] * (len(frames) - 1) + [HOLD_MILLISECONDS]
    write_gif(path, frames, durations)


def _panels(frame: npt.NDArray[Any], low: float, high: float) -> Image.Image:
    """Draw (C, H, W) as an enlarged picture of all channels."""
    scaled = (frame.astype(np.float64) - low) / ((high - low) or 1.0)
    if len(frame) == RGB:
        pictures = [scaled.transpose(1, 2, 0)]
    else:
        pictures = [np.asarray(mpl.colormaps[COLOUR_MAP](channel))[..., :RGB] for channel in scaled]
    height, width = frame.shape[1:]
    factor = max(1, round(PANEL / min(height, width)))
    images = [
        Image.fromarray((255 * picture).round().astype(np.uint8)).resize(
            (factor * width, factor * height), Image.Resampling.NEAREST
        )
        for picture in pictures
    ]
    joined = Image.new("RGB", (sum(i.width for i in images) + BORDER * (len(images) - 1), images[0].height), "white")
    left = 0
    for image in images:
        joined.paste(image, (left, 0))
        left += image.width + BORDER
    return joined


def _framed(image: Image.Image, caption: str, colour: tuple[int, int, int]) -> Image.Image:
    framed = Image.new("RGB", (image.width + 2 * BORDER, image.height + BORDER + CAPTION), colour)
    framed.paste(image, (BORDER, CAPTION))
    ImageDraw.Draw(framed).text((BORDER, 2), caption, fill="white")
    return framed
