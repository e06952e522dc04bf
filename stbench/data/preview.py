"""Pictures of a few clips: a contact sheet and an animation.

Axes: B clips, T time, C channels, H, W.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from stbench.data.base import Dataset
from stbench.data.loader import evenly_spaced
from stbench.errors import UserError
from stbench.schema import Benchmark
from stbench.schema.folder import write_with

Pixels = npt.NDArray[np.uint8]

CLIPS_PER_SPLIT = 2
SMALLEST = 96  # height of a frame in the pictures, in pixels, at least
MOST_FRAMES = 20
GAP = 4
LABEL = 14
FRAME_MS = 200


def write_preview(dataset: Dataset, benchmark: Benchmark, folder: Path) -> tuple[Path, Path]:
    """Write ``<name>.png`` (a clip a row: past, then, behind a bar, future) and ``<name>.gif``; returns both paths.

    Raises:
        UserError: the folder cannot be written.
    """
    rows, labels = _rows(dataset)
    sheet = folder / f"{benchmark.name}.png"
    film = folder / f"{benchmark.name}.gif"
    frames = [_column(rows, number) for number in range(rows[0].shape[0])]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_with(sheet, lambda path: contact_sheet(rows, labels, dataset.context.shape.t_in).save(path, "PNG"))
        write_with(
            film,
            lambda path: frames[0].save(
                path, "GIF", save_all=True, append_images=frames[1:], duration=FRAME_MS, loop=0
            ),
        )
    except OSError as error:
        raise UserError(
            f"Cannot write to {folder}: {error.strerror or error}. Choose another folder with --out."
        ) from error
    return sheet, film


def contact_sheet(rows: list[Pixels], labels: list[str], t_in: int) -> Image.Image:
    """One picture of rows of frames (T, H, W, 3), each with a label; a bar parts past and future."""
    length, height, width, _ = rows[0].shape
    sheet = Image.new("RGB", (length * (width + GAP) + 2 * GAP, len(rows) * (height + GAP + LABEL)), "white")
    draw = ImageDraw.Draw(sheet)
    for row, (frames, label) in enumerate(zip(rows, labels, strict=True)):
        top = row * (height + GAP + LABEL)
        draw.text((GAP, top), label, fill="black")
        for number, frame in enumerate(frames):
            shift = 2 * GAP if number >= t_in else 0
            sheet.paste(Image.fromarray(frame), (number * (width + GAP) + shift, top + LABEL))
    bar = t_in * (width + GAP) + GAP // 2
    draw.line((bar, 0, bar, sheet.height), fill="red", width=2)
    return sheet


def _rows(dataset: Dataset) -> tuple[list[Pixels], list[str]]:
    rows, labels = [], []
    for name in ("train", "val", "test"):
        split = getattr(dataset, name)
        indices = evenly_spaced(len(split), CLIPS_PER_SPLIT)
        clips = split.clips(indices, 0)[:, :MOST_FRAMES]
        physical = dataset.to_physical(clips)
        times = split.times(indices)
        for row, index in enumerate(indices):
            low, high = float(physical[row].min()), float(physical[row].max())
            begins = "" if times is None else f", from {np.datetime64(int(times[row, 0]), 'm')}"
            labels.append(f"{name} clip {index}{begins}: {low:.4g} to {high:.4g}")
            rows.append(_coloured(clips[row].numpy()))
    return rows, labels


def _coloured(clip_TCHW: npt.NDArray[np.float32]) -> Pixels:
    """RGB pictures (T, H, W, 3), enlarged: colour as it is, one or two channels (the first) by the clip's range."""
    if clip_TCHW.shape[1] == 3:
        pixels = (np.clip(clip_TCHW, 0, 1) * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    else:
        import matplotlib

        plane = clip_TCHW[:, 0]
        spread = float(plane.max() - plane.min()) or 1.0
        coloured = matplotlib.colormaps["viridis"]((plane - plane.min()) / spread)
        pixels = (coloured[..., :3] * 255).astype(np.uint8)
    factor = max(1, -(-SMALLEST // pixels.shape[1]))
    return pixels.repeat(factor, axis=1).repeat(factor, axis=2)


def _column(rows: list[Pixels], number: int) -> Image.Image:
    """The ``number``-th frame of every clip, side by side."""
    height, width = rows[0].shape[1:3]
    made = Image.new("RGB", (len(rows) * (width + GAP), height), "white")
    for place, frames in enumerate(rows):
        made.paste(Image.fromarray(frames[number]), (place * (width + GAP), 0))
    return made
