"""From files to recordings: what a file is, is told by its suffix."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from stbench.data.formats import hdf5, images, netcdf, video
from stbench.data.formats.arrays import Layout, open_array
from stbench.data.formats.recording import Recording, natural
from stbench.data.formats.seq import open_seq
from stbench.errors import UserError

ARRAYS = (".npy", ".npz")
NAMELESS = (".npy", *images.SUFFIXES, *video.SUFFIXES, ".seq")  # hold one array, which has no name
SUFFIXES = (*ARRAYS, *images.SUFFIXES, *video.SUFFIXES, *hdf5.SUFFIXES, *netcdf.SUFFIXES, ".seq")


def open_recordings(
    paths: Sequence[Path], root: Path, *, variable: str | None = None, layout: Layout = "auto"
) -> list[Recording]:
    """The recordings that files under ``root`` hold, in the natural order of their names.

    The pictures of one folder are one recording, and so are its one-frame HDF5 files; any other file stands alone.

    Raises:
        UserError: a file cannot be read, is of no known kind, or holds no variables though one is asked for.
    """
    nameless = next((path for path in paths if path.suffix.lower() in NAMELESS), None)
    if variable is not None and nameless is not None:
        raise UserError(
            f"--variable {variable}: {nameless} holds no named arrays (npz, HDF5 and NetCDF files do). Leave it out."
        )
    found: list[Recording] = []
    ordered = sorted(paths, key=lambda path: natural(path.relative_to(root).as_posix()))
    for (folder, kind), members in groupby(ordered, key=lambda path: (path.parent, _kind(path))):
        files = list(members)
        where = folder.relative_to(root).as_posix()
        if kind == "images":
            found.append(images.open_images(files, where))
        elif kind == "hdf5":
            found += hdf5.open_hdf5(files, where, variable, layout)
        else:
            for path in files:
                found += _open_one(path, path.relative_to(root).with_suffix("").as_posix(), kind, variable, layout)
    return found


def _open_one(path: Path, name: str, kind: str, variable: str | None, layout: Layout) -> list[Recording]:
    if kind == "array":
        return open_array(path, name, variable, layout)
    if kind == "video":
        return [video.open_video(path, name)]
    if kind == "netcdf":
        return [netcdf.open_netcdf(path, name, variable)]
    return [open_seq(path, name)]


def _kind(path: Path) -> str:
    suffix = path.suffix.lower()
    kinds = {"images": images.SUFFIXES, "hdf5": hdf5.SUFFIXES, "video": video.SUFFIXES, "netcdf": netcdf.SUFFIXES}
    for kind, suffixes in {**kinds, "array": ARRAYS, "seq": (".seq",)}.items():
        if suffix in suffixes:
            return kind
    raise UserError(f"{path} is of no known kind. Readable: {', '.join(SUFFIXES)}.")
