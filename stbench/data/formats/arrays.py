"""npy and npz files: one series, or N clips."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from stbench.data.formats.guard import check_npy, check_npz
from stbench.data.formats.recording import Blocks, Frames, Minutes, Recording, in_blocks, stored_type
from stbench.data.formats.timestamps import minutes_of_numbers
from stbench.errors import UserError

Layout = Literal["auto", "THW", "THWC", "TCHW", "NTHW", "NTHWC", "NTCHW"]

MOST_CHANNELS = 4
TIME_KEYS = ("time", "times", "date", "dates", "timestamps")
OBJECTS = ("Object arrays", "Python objects in dtype")  # what numpy says of dtype=object, npz and npy
DAMAGE = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)


def open_array(path: Path, name: str, key: str | None = None, layout: Layout = "auto") -> list[Recording]:
    """Return the recordings of a file: one per clip where its array has a clip axis, else one.

    Raises:
        UserError: the file is damaged, does not say which of several arrays is meant, or has no such layout.
    """
    if path.suffix.lower() == ".npy":
        check_npy(path)
        return recordings_of_array(path, name, partial(_load_npy, path), None, layout)
    check_npz(path)
    array = _npz_key(path, key)
    return recordings_of_array(path, name, partial(_load_npz, path, array), _npz_times(path), layout, array)


def recordings_of_array(
    path: Path, name: str, load: Callable[[], Frames], times: Minutes | None, layout: Layout, key: str = ""
) -> list[Recording]:
    """Return the recordings of an array that ``load`` opens; decoding opens it again, so that nothing large is kept."""
    array = load()
    chosen = guess_layout(array.shape, str(path)) if layout == "auto" else layout
    if len(chosen) != array.ndim:
        raise UserError(f"{path} has {array.ndim} axes {array.shape}, the layout {chosen} has {len(chosen)}.")
    dtype = stored_type(array.dtype, str(path))
    clips = array.shape[0] if chosen[0] == "N" else None
    sizes = dict(zip(chosen, array.shape, strict=True))
    frame = sizes["H"], sizes["W"], sizes.get("C", 1)
    if 0 in array.shape:
        raise UserError(f"{path} holds an empty array {array.shape}.")
    times = times if times is not None and times.shape == (sizes["T"],) else None
    found = []
    for clip in range(clips or 1):
        number = None if clips is None else clip
        found.append(
            Recording(
                name=name if number is None else f"{name}#{number}",
                paths=(path,),
                length=sizes["T"],
                frame=frame,
                dtype=dtype,
                blocks=partial(_blocks, load if clips is None else _Kept(array), number, chosen, dtype),
                minutes=times,
                note=f"axes {chosen}",
                variant=f"{key} {chosen}",
            )
        )
    return found


def guess_layout(shape: tuple[int, ...], where: str) -> Layout:
    """Tell the axes of an array apart: an axis of at most four is a channel axis.

    >>> guess_layout((500, 64, 64), ""), guess_layout((10, 20, 64, 64), ""), guess_layout((10, 20, 3, 64, 64), "")
    ('THW', 'NTHW', 'NTCHW')

    Raises:
        UserError: fewer than three or more than five axes.
    """
    if len(shape) == 3:
        return "THW"
    if len(shape) == 4:
        if shape[3] <= MOST_CHANNELS:
            return "THWC"
        return "TCHW" if shape[1] <= MOST_CHANNELS else "NTHW"
    if len(shape) == 5:
        return "NTHWC" if shape[4] <= MOST_CHANNELS else "NTCHW"
    raise UserError(
        f"{where} has shape {shape}: expected clips (N, T, H, W), (N, T, H, W, C) or (N, T, C, H, W), or one series "
        "(T, H, W), (T, H, W, C) or (T, C, H, W)."
    )


class _Kept:
    """An array that many clips share, given on demand."""

    def __init__(self, array: Frames) -> None:
        self.array = array

    def __call__(self) -> Frames:
        return self.array


def _blocks(load: Callable[[], Frames], clip: int | None, layout: str, dtype: np.dtype[Any]) -> Blocks:
    array = load() if clip is None else load()[clip]
    axes = layout.removeprefix("N")
    if "C" not in axes:
        array, axes = array[..., None], axes + "C"
    yield from in_blocks(array.transpose([axes.index(axis) for axis in "THWC"]), dtype)


def _load_npy(path: Path) -> Frames:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
    except DAMAGE as error:
        raise _unreadable(path, "npy", error) from error


def _load_npz(path: Path, key: str) -> Frames:
    try:
        with np.load(path, allow_pickle=False) as file:
            return file[key]  # type: ignore[no-any-return]
    except DAMAGE as error:
        raise _unreadable(path, "npz", error) from error


def _unreadable(path: Path, kind: str, error: Exception) -> UserError:
    if any(words in str(error) for words in OBJECTS):
        return UserError(
            f"{path} holds Python objects (dtype object), not an array of numbers, as where clips of different lengths "
            "are put together. Save a file for each clip, or clips of one length as one array of numbers."
        )
    return UserError(f"{path} cannot be read as {kind} (cut short or damaged?): {error}.")


def _npz_key(path: Path, key: str | None) -> str:
    try:
        with np.load(path, allow_pickle=False) as file:
            names = [name for name in file.files if f"{name}.npy" in file.zip.namelist()]
            long = [name for name in names if len(_shape(file, name)) >= 3]
    except DAMAGE as error:
        raise _unreadable(path, "npz", error) from error
    if key is not None and key not in names:
        raise UserError(f"{path} lacks the array {key!r}; it holds: {', '.join(names) or 'nothing'}.")
    if key is None and len(long) != 1:
        raise UserError(
            f"{path} holds {len(long)} arrays of three or more axes ({', '.join(long) or 'none'}). "
            "Say which one is meant with --variable NAME."
        )
    return key or long[0]


def _shape(file: Any, name: str) -> tuple[int, ...]:
    """Shape of a member, read off its header alone."""
    with file.zip.open(f"{name}.npy") as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape: tuple[int, ...] = read(stream)[0]
        return shape


def _npz_times(path: Path) -> Minutes | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            key = next((key for key in TIME_KEYS if key in file.files), None)
            times: npt.NDArray[Any] | None = None if key is None else file[key]
    except DAMAGE as error:
        raise UserError(f"{path}: its times cannot be read (cut short or damaged?): {error}.") from error
    return None if times is None else minutes_of_numbers(times)
