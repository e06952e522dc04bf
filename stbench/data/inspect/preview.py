"""Pictures of a few clips: a contact sheet and an animation.

Axes: T time, C channels, H, W.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from stbench.data.dataset import Splits
from stbench.data.formats.listing import OUTPUT_MARK
from stbench.data.loader import evenly_spaced
from stbench.errors import UserError
from stbench.files import write_gif
from stbench.schema import Benchmark, Scaling
from stbench.schema.folder import write_with

Pixels = npt.NDArray[np.uint8]

CLIPS_PER_SPLIT = 2
SMALLEST, LARGEST = 96, 160  # what the longer side of a frame is brought to, in pixels
MOST_EACH = 6  # frames of past, and of future, in the contact sheet
GAP = 4
LINE = 18  # height of a line of text
TEXT = 13
CAPTION = 64  # room for "train +10"
FRAME_MS = 300
LENGTHS = re.compile(r",? *\d+ -> \d+$")
PAST, FUTURE = "black", "firebrick"
PICTURES = (Scaling(), Scaling(scale=(255.0,)))  # what was light stays light; measured quantities are coloured


@dataclass(frozen=True)
class Row:
    """A clip to be shown: pictures (T, H, W, 3), which split it is of, and what is written over it."""

    frames: Pixels
    split: str
    label: str


def write_preview(dataset: Splits, benchmark: Benchmark, folder: Path) -> tuple[Path, Path]:
    """Write ``<name>.png`` (one row per clip: past, a bar, future) and ``<name>.gif``; return both paths.

    ``benchmark`` has the shape under which the dataset was opened.

    Raises:
        UserError: the folder cannot be written.
    """
    rows = preview_rows(dataset, benchmark)
    shape = benchmark.shape
    t_in = shape.t_in
    what = LENGTHS.sub("", benchmark.title)  # which may be other ones here
    title = f"{what}, {t_in} -> {shape.t_out}, (C, H, W) = {shape.frame}"
    sheet, film = folder / f"{benchmark.name}.png", folder / f"{benchmark.name}.gif"
    frames = [moment(rows, number, t_in) for number in range(len(rows[0].frames))]
    try:
        if not folder.exists():
            folder.mkdir(parents=True)
            (folder / OUTPUT_MARK).touch()  # so that the pictures never join data that the folder lies among
        write_with(sheet, lambda path: contact_sheet(rows, t_in, title).save(path, "PNG"))
        write_gif(film, frames, FRAME_MS)
    except OSError as error:
        raise UserError(
            f"Cannot write to {folder}: {error.strerror or error}. Choose another folder with --out."
        ) from error
    return sheet, film


def preview_rows(dataset: Splits, benchmark: Benchmark) -> list[Row]:
    """The first and the middle clip of each split, with their range in physical units."""
    rows = []
    for name in ("train", "val", "test"):
        split = getattr(dataset, name)
        indices = evenly_spaced(len(split), CLIPS_PER_SPLIT)
        clips = split.clips(indices, 0)
        physical = dataset.to_physical(clips)
        times = split.times(indices)
        channels = clips.shape[2]
        shown = "" if channels in (1, 3) else f", channel 1 of {channels}"
        for row, index in enumerate(indices):
            seen = physical[row] if channels == 3 else physical[row, :, 0]
            begins = "" if times is None else f" from {np.datetime64(int(times[row, 0]), 's').item():%Y-%m-%d %H:%M}"
            low, high = (_number(float(edge)) for edge in (np.nanmin(seen.numpy()), np.nanmax(seen.numpy())))
            label = f"{name} clip {index}{begins}: {low} to {high} {benchmark.units}{shown}"
            rows.append(Row(_pictures(clips[row].numpy(), dataset.scaling in PICTURES), name, label))
    return rows


def contact_sheet(rows: list[Row], t_in: int, title: str) -> Image.Image:
    """One picture of all rows; a bar parts past and future, the top line counts frames from the last given one."""
    length, height, width, _ = rows[0].frames.shape
    past = _chosen(0, t_in)
    columns = [*past, *_chosen(t_in, length)]
    font = _font()
    text = max(int(font.getlength(line)) for line in (title, *(row.label for row in rows)))
    step = height + GAP + LINE
    top = 2 * LINE
    size = max(len(columns) * (width + GAP) + 3 * GAP, text + 2 * GAP), top + len(rows) * step
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, 0), title, fill=PAST, font=font)
    for place, number in enumerate(columns):
        left = place * (width + GAP) + (0 if number < t_in else 2 * GAP)
        draw.text((left + GAP, LINE), _lead(number, t_in), fill=_ink(number, t_in), font=font)
        for row, clip in enumerate(rows):
            sheet.paste(Image.fromarray(clip.frames[number]), (left, top + row * step + LINE))
    bar = len(past) * (width + GAP) + GAP // 2
    for row, clip in enumerate(rows):
        draw.text((GAP, top + row * step), clip.label, fill=PAST, font=font)
        draw.line((bar, top + row * step + LINE, bar, top + row * step + LINE + height - 1), fill=FUTURE, width=3)
    return sheet


def moment(rows: list[Row], number: int, t_in: int) -> Image.Image:
    """The ``number``-th frame of every clip, side by side, under its split's name and its lead."""
    height, width = rows[0].frames.shape[1:3]
    width = max(width, CAPTION)
    made = Image.new("RGB", (len(rows) * (width + GAP), LINE + height), "white")
    draw = ImageDraw.Draw(made)
    for place, row in enumerate(rows):
        left = place * (width + GAP)
        draw.text((left + 1, 0), f"{row.split} {_lead(number, t_in)}", fill=_ink(number, t_in), font=_font())
        made.paste(Image.fromarray(row.frames[number]), (left, LINE))
    return made


def _chosen(start: int, stop: int) -> list[int]:
    """At most ``MOST_EACH`` of the frames start … stop-1, evenly spaced, both ends among them."""
    count = min(MOST_EACH, stop - start)
    return [round(place) for place in np.linspace(start, stop - 1, count).tolist()]


def _lead(number: int, t_in: int) -> str:
    lead = number - t_in + 1
    return f"+{lead}" if lead > 0 else f"{lead}".replace("-", "\N{MINUS SIGN}")


def _ink(number: int, t_in: int) -> str:
    return PAST if number < t_in else FUTURE


def _number(value: float) -> str:
    """Four digits, more where there are more before the point.

    >>> _number(10256.0), _number(0.48058)
    ('10256', '0.4806')
    """
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _font() -> ImageFont.FreeTypeFont:
    import matplotlib

    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", TEXT)


def _pictures(clip_TCHW: npt.NDArray[np.float32], light: bool) -> Pixels:
    """RGB pictures (T, H, W, 3) of handy size: colour and light as they are, else the first channel by its range."""
    if np.isnan(clip_TCHW).any():  # missing cells are drawn as the lowest value
        clip_TCHW = np.nan_to_num(clip_TCHW, nan=float(np.nan_to_num(np.nanmin(clip_TCHW))))
    if clip_TCHW.shape[1] == 3:
        shown = np.clip(clip_TCHW, 0, 1).transpose(0, 2, 3, 1)
    elif light:
        shown = np.clip(clip_TCHW[:, 0], 0, 1)[..., None].repeat(3, axis=-1)
    else:
        import matplotlib

        plane = clip_TCHW[:, 0]
        spread = float(plane.max() - plane.min()) or 1.0
        shown = matplotlib.colormaps["viridis"]((plane - plane.min()) / spread)[..., :3]
    pixels = np.rint(shown * 255).astype(np.uint8)
    longer = max(pixels.shape[1:3])
    if longer > LARGEST:
        size = tuple(max(1, round(side * LARGEST / longer)) for side in pixels.shape[2:0:-1])
        return np.stack([np.asarray(Image.fromarray(picture).resize(size)) for picture in pixels])
    factor = -(-SMALLEST // longer)
    return pixels.repeat(factor, axis=1).repeat(factor, axis=2)
