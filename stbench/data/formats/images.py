"""Pictures: a folder of single pictures, one frame each in natural order of names, or files of several pages."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from stbench.data.formats.guard import check_pixels, readable
from stbench.data.formats.listing import regular_file
from stbench.data.formats.recording import BLOCK_FRAMES, Blocks, Frames, Recording
from stbench.data.formats.timestamps import times_of_names
from stbench.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif")
DECODERS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF")  # no other: some of Pillow's start programs
PAGED = ("PNG", "TIFF", "WEBP", "GIF")  # MPO (a telephone's second view) is one picture
MOST_PAGES = 1 << 20
SUBFILE_TYPE, REDUCED = 254, 1  # TIFF: a page that is a smaller copy of another
GDAL_NODATA = 42113
BIT_DEPTH, COLOUR_TYPE, DEEP = 24, 25, 16  # bytes of a PNG's header, and bits of which Pillow would drop half
GREY_TYPES = (0, 4)


def open_images(paths: Sequence[Path], name: str) -> list[Recording]:
    """Return one recording of single pictures in the given order, or one per file if files hold several pages.

    Raises:
        UserError: the first picture of a recording cannot be read.
    """
    pages = count_pages(paths[0])
    if pages > 1:
        return [_pages_of(path, f"{name}/{path.stem}") for path in paths]
    first = read_image(paths[0])
    height, width, channels = first.shape
    times = times_of_names(["/".join((*path.parts[-4:-1], path.stem)) for path in paths])
    facts = _facts(first, f"{len(paths)} pictures of (H, W, C) = {first.shape}")
    return [
        Recording(
            name=name,
            paths=tuple(paths),
            length=len(paths),
            frame=(height, width, channels),
            dtype=first.dtype,
            blocks=partial(_blocks, tuple(paths), first.shape),
            seconds=times.seconds,
            facts=facts if times.seconds is not None else facts | {"times": times.why},
            variant=VARIANT,
        )
    ]


def count_pages(path: Path) -> int:
    """Return the number of pages of a picture file; smaller copies of a page (overviews) do not count.

    Raises:
        UserError: it cannot be read.
    """
    with _opened(path) as image:
        return sum(1 for _ in _each_page(path, image))


def read_image(path: Path) -> Frames:
    """Return a picture (H, W, C), turned upright by its EXIF orientation; C is 1 or 3, uint8 or (deeper grey) float32.

    Raises:
        UserError: the file cannot be read, is cut short, holds several pages, or would lose precision.
    """
    with _opened(path) as image:
        pages = sum(1 for _ in _each_page(path, image))
        if pages > 1:
            raise UserError(
                f"{path} holds {pages} pages, and the picture before it one. Keep single pictures and files of several "
                "pages in different folders."
            )
        image.seek(0)
        return _pixels(path, image)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    regular_file(path)
    # from a stream: given a name, Pillow maps the file and then swaps the sides of rotated TIFFs
    with (
        readable(path, "a picture"),
        _warned(),
        path.open("rb") as stream,
        Image.open(stream, formats=DECODERS) as image,
    ):
        check_pixels(path, image.height, image.width)
        yield image


@contextmanager
def _warned() -> Iterator[None]:
    """Turn Pillow's warnings of damage into errors and silence its other warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", message="Truncated File Read|Tag data larger than file")
        yield


def _each_page(path: Path, image: Image.Image) -> Iterator[Image.Image]:
    """Seek from page to page."""
    if image.format not in PAGED:
        yield image
        return
    for number in range(MOST_PAGES):
        try:
            image.seek(number)
        except EOFError:
            return
        check_pixels(path, image.height, image.width)
        tags: Any = getattr(image, "tag_v2", {})
        if not int(tags.get(SUBFILE_TYPE, 0)) & REDUCED:
            yield image


def _pixels(path: Path, image: Image.Image) -> Frames:
    _check_depth(path, image)
    nodata = _nodata(image)
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith(("I", "F")) or nodata is not None:
        grey = upright if upright.mode.startswith(("I", "F")) else upright.convert("L")
        values = np.array(grey, dtype=np.float32)
        if nodata is not None:
            values[values == np.float32(nodata)] = np.nan
        return values[..., None]
    is_grey = upright.mode in ("1", "L", "LA", "La") or _has_grey_palette(upright)
    pixels = np.asarray(upright.convert("L" if is_grey else "RGB"))
    return pixels[..., None] if is_grey else pixels


def _check_depth(path: Path, image: Image.Image) -> None:
    """Reject 16-bit colour, of which Pillow silently keeps the upper 8 bits."""
    if image.format == "PNG":
        with path.open("rb") as stream:
            header = stream.read(COLOUR_TYPE + 1)
        deep = header[BIT_DEPTH] == DEEP and (header[COLOUR_TYPE] not in GREY_TYPES or image.mode == "LA")
    else:
        bits: Any = getattr(image, "tag_v2", {}).get(258, (8,))
        deep = len(bits) > 1 and max(bits) > 8
    if deep:
        raise UserError(f"{path} has 16 bits per colour, of which 8 would be lost. Save it as npy or as grey pictures.")


def _nodata(image: Image.Image) -> float | None:
    """Return the value that marks missing cells of a GeoTIFF."""
    text = getattr(image, "tag_v2", {}).get(GDAL_NODATA)
    try:
        return None if text is None else float(str(text).strip("\0 "))
    except ValueError:
        return None


def _is_grey(page: Image.Image) -> bool:
    """Return whether a page has no colour; Pillow converts the later frames of any GIF to RGB."""
    if page.mode not in ("P", "RGB", "RGBA"):
        return True
    pixels = np.asarray(page.convert("RGB"))
    return bool((pixels == pixels[..., :1]).all())


def _has_grey_palette(image: Image.Image) -> bool:
    palette = image.getpalette("RGB") if image.mode == "P" else None
    if not palette:
        return False
    red, green, blue = np.array(palette).reshape(-1, 3).T
    return bool((red == green).all() and (green == blue).all())


def _pages_of(path: Path, name: str) -> Recording:
    """Return the pages of a file as frames; in colour if any page has colour."""
    with _opened(path) as image:
        shapes = [(page.height, page.width) for page in _each_page(path, image)]
        image.seek(0)
        first = _pixels(path, image)
        grey = first.shape[-1] == 1 and all(_is_grey(page) for page in _each_page(path, image))
    odd = next((number for number, shape in enumerate(shapes) if shape != shapes[0]), None)
    if odd is not None:
        raise UserError(f"{path}: page {odd} is {shapes[odd]}, the pages before it {shapes[0]} (height, width).")
    height, width = first.shape[:2]
    frame = height, width, 1 if grey else 3
    return Recording(
        name,
        (path,),
        len(shapes),
        frame,
        first.dtype,
        partial(_page_blocks, path, frame, first.dtype),
        facts=_facts(first, f"{len(shapes)} pages of (H, W, C) = {frame}"),
        variant=VARIANT,
    )


def _facts(first: Frames, axes: str) -> dict[str, str]:
    return (
        {"axes": axes, "missing values": "as the files declare (GeoTIFF nodata)", "units": "not stated"}
        if (first.dtype.kind == "f")
        else {"axes": axes}
    )


def _page_blocks(path: Path, frame: tuple[int, int, int], dtype: np.dtype[Any]) -> Blocks:
    block: list[Frames] = []
    with _opened(path) as image:
        for number, page in enumerate(_each_page(path, image)):
            pixels = _pixels(path, page)
            if pixels.shape[:2] != frame[:2] or pixels.dtype != dtype:
                raise UserError(
                    f"{path}: page {number} is {pixels.shape} of {pixels.dtype}, expected {frame} of {dtype}."
                )
            block.append(np.broadcast_to(pixels[..., : frame[2]], frame))
            if len(block) == BLOCK_FRAMES:
                yield np.stack(block)
                block = []
    if block:
        yield np.stack(block)


def _blocks(paths: tuple[Path, ...], shape: tuple[int, ...]) -> Blocks:
    for start in range(0, len(paths), BLOCK_FRAMES):
        frames = []
        for path in paths[start : start + BLOCK_FRAMES]:
            frames.append(read_image(path))
            if frames[-1].shape != shape:
                raise UserError(
                    f"{path} is (H, W, C) = {frames[-1].shape}, the pictures before it {shape}; the pictures of one "
                    "folder must be of one size and kind."
                )
        yield np.stack(frames)


VARIANT = "upright"
"""Version of the conversion of pictures to frames, for the frame cache; change it when the conversion changes."""
