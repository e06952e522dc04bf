"""Open files as recordings: the suffix tells the format. The table ``FORMATS`` lists all formats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path

from stbench.data.formats import arrays, hdf5, hickle, images, netcdf, seq, tfrecord, video, zarr
from stbench.data.formats.fields import AUTO, Choice
from stbench.data.formats.guard import readable
from stbench.data.formats.recording import Blocks, Recording, natural
from stbench.errors import UserError

Opener = Callable[[Sequence[Path], str, str | None, Choice], list[Recording]]


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Attributes:
        suffixes: suffixes of its files, in lower case.
        open: returns the recordings of files; takes paths, name, variable and the user's choice of layout and level.
        by_folder: True opens the files of a folder together, under the folder's name; False opens each separately.
        names: returns the names of the arrays in a file; None if arrays have no names.
    """

    suffixes: tuple[str, ...]
    open: Opener
    by_folder: bool = False
    names: Callable[[Path], list[str]] | None = None


FORMATS: dict[str, Format] = {
    "npy": Format((".npy",), lambda paths, name, _, choice: arrays.open_array(paths[0], name, None, choice)),
    "npz": Format(
        (".npz",),
        lambda paths, name, key, choice: arrays.open_array(paths[0], name, key, choice),
        names=arrays.names_of,
    ),
    "images": Format(images.SUFFIXES, lambda paths, name, *_: images.open_images(paths, name), by_folder=True),
    "video": Format(video.SUFFIXES, lambda paths, name, *_: [video.open_video(paths[0], name)]),
    "hdf5": Format(hdf5.SUFFIXES, hdf5.open_hdf5, by_folder=True, names=hdf5.names_of),
    "netcdf": Format(
        netcdf.SUFFIXES,
        lambda paths, name, key, choice: netcdf.open_netcdf(paths[0], name, key, choice),
        names=netcdf.variables_of,
    ),
    "zarr": Format(
        zarr.SUFFIXES,
        lambda paths, name, key, choice: zarr.open_zarr(paths[0], name, key, choice),
        names=zarr.variables_of,
    ),
    "seq": Format((".seq",), lambda paths, name, *_: [seq.open_seq(paths[0], name)]),
    "hickle": Format(hickle.SUFFIXES, lambda paths, name, *_: hickle.open_hickle(paths, name), by_folder=True),
    "tfrecord": Format(tfrecord.SUFFIXES, lambda paths, name, *_: tfrecord.open_tfrecord(paths[0], name)),
}
SUFFIXES = tuple(suffix for known in FORMATS.values() for suffix in known.suffixes)


def open_recordings(
    paths: Sequence[Path], root: Path, *, variable: str | None = None, choice: Choice = AUTO
) -> list[Recording]:
    """Return the recordings in files under ``root``, in the natural order of their names.

    The pictures of a folder are one recording, and so are its HDF5 files of one frame. Any other file is opened alone.

    Raises:
        UserError: a file cannot be read, is of no known kind, or holds no variables though one is asked for.
    """
    nameless = next((path for path in paths if FORMATS[format_of(path)].names is None), None)
    if variable is not None and nameless is not None:
        raise UserError(
            f"--variable {variable}: {nameless} holds no named arrays (npz, HDF5, NetCDF and zarr do). Leave it out."
        )
    found: list[Recording] = []
    ordered = sorted(paths, key=lambda path: natural(path.relative_to(root).as_posix()))
    for (folder, kind), members in groupby(ordered, key=lambda path: (path.parent, format_of(path))):
        known = FORMATS[kind]
        if known.by_folder:
            found += _opened(known, list(members), folder.relative_to(root).as_posix(), variable, choice)
            continue
        for path in members:
            name = path.relative_to(root).with_suffix("").as_posix()
            found += _opened(known, [path], name, variable, choice)
    return found


def holding(paths: Sequence[Path], variable: str) -> list[Path]:
    """Return the files that hold an array of this name; all files if none does, so that opening lists what they hold.

    Raises:
        UserError: a file cannot be read.
    """
    readers = [(path, FORMATS[format_of(path)].names) for path in paths]
    return [path for path, names in readers if names is not None and variable in names(path)] or list(paths)


def _opened(known: Format, paths: list[Path], name: str, variable: str | None, choice: Choice) -> list[Recording]:
    """Open files so that any error of a library, now or while decoding, names the file."""
    kind = known.suffixes[0].removeprefix(".")
    with readable(paths[0], kind):
        found = known.open(paths, name, variable, choice)
    return [replace(recording, blocks=partial(_guarded, recording, kind)) for recording in found]


def _guarded(recording: Recording, kind: str) -> Blocks:
    """Decode a recording and compare it with its header; a video's count may be off by a few frames."""
    path, count = recording.paths[0], 0
    with readable(path, kind):
        for block in recording.blocks():
            if block.shape[1:] != recording.frame:
                raise UserError(f"{path}: frames are {block.shape[1:]}, expected (H, W, C) = {recording.frame}.")
            count += len(block)
            yield block
    if count != recording.length and f".{kind}" not in video.SUFFIXES:
        raise UserError(f"{path} announces {recording.length} frames and holds {count} (cut short?). Fetch it again.")


def format_of(path: Path) -> str:
    """Return the key in ``FORMATS`` of a file.

    Raises:
        UserError: its suffix belongs to none.
    """
    for kind, known in FORMATS.items():
        if path.suffix.lower() in known.suffixes:
            return kind
    raise UserError(f"{path} is of no known kind. Readable: {', '.join(SUFFIXES)}.")
