"""Bounds and refusals before a file's content is trusted: damage of any kind, bombs, parts that lie in other files."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np

from stbench.data.formats.listing import regular_file
from stbench.errors import UserError

LARGE = 1 << 30  # bytes from which on an unlikely ratio of unpacked to stored bytes is refused
MOST_RATIO = 300  # of unpacked to stored bytes; measured fields stay far below, zeros reach 1000
MOST_PIXELS = 1 << 26  # of one picture: 8192×8192
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@contextmanager
def readable(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever a library raises over a file's content into one message that names the file.

    Libraries that parse damaged files raise nearly anything: struct.error, TokenError, RecursionError, KeyError.

    Raises:
        UserError: anything was raised within.
    """
    try:
        yield
    except UserError:
        raise
    except MemoryError as error:
        raise UserError(f"{path} needs more memory than there is ({error or 'no size known'}).") from error
    except Exception as error:
        text = " ".join(str(error).split()) or "no reason given"
        raise UserError(
            f"{path} cannot be read as {kind} (cut short or damaged?): {type(error).__name__}: {text}. Fetch it again."
        ) from error


def check_bomb(path: Path, what: str, unpacked: int, stored: int) -> None:
    """Refuse content that unpacks to far more than is stored.

    Raises:
        UserError: it does.
    """
    if unpacked > LARGE and unpacked > MOST_RATIO * max(1, stored):
        raise UserError(
            f"{path}: {what} unpacks to {unpacked / 1e9:.1f} GB from {stored / 1e6:.3g} MB, which is refused as a "
            "decompression bomb. If it is right, save it as npy, which is not packed."
        )


def check_pixels(path: Path, height: int, width: int) -> None:
    """Refuse pictures larger than any that a method could be trained on.

    Raises:
        UserError: more than 2^26 pixels.
    """
    if height * width > MOST_PIXELS:
        raise UserError(f"{path} announces a picture of {height}×{width}, more than {MOST_PIXELS} pixels. Shrink it.")


def check_npy(path: Path) -> None:
    """Check that an npy file is as long as its header says.

    Raises:
        UserError: it is not, or its header cannot be read.
    """
    regular_file(path)
    with readable(path, "npy"), path.open("rb") as stream:
        _check_length(path, stream, path.stat().st_size, "npy")


def check_npz(path: Path) -> None:
    """Check the members of an npz file without unpacking them: packing, sizes, and lengths by their headers.

    Raises:
        UserError: a member is encrypted, packed in an unknown way, a bomb, or not as long as its header says.
    """
    regular_file(path)
    with readable(path, "npz"), zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        check_members(path, members)
        for member in members:
            if member.filename.endswith(".npy"):
                with archive.open(member) as stream:
                    _check_length(path, stream, member.file_size, "npz", f"{member.filename}: ")


def check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    """Check the table of contents of a zip file.

    Raises:
        UserError: an encrypted one, an unknown packing, a bomb, or one name twice.
    """
    for member in members:
        if member.flag_bits & 1:
            raise UserError(f"{path}: {member.filename} is encrypted. Unpack it by hand.")
        if member.compress_type not in PACKED:
            raise UserError(f"{path}: {member.filename} is packed in a way that Python cannot read. Pack it as zip.")
    if len({member.filename for member in members}) != len(members):
        raise UserError(f"{path} holds a name twice (damaged?). Fetch it again.")
    check_bomb(path, "it", sum(member.file_size for member in members), sum(member.compress_size for member in members))


def open_h5(path: Path) -> h5py.File:
    """Open an HDF5 file whose arrays lie in it: no links to other files, external storage or virtual arrays.

    The fingerprint of a dataset covers the files that are listed, so that parts elsewhere would go unseen.

    Raises:
        UserError: it holds such a part, or an array of far more bytes than it stores.
        OSError: it is no HDF5 file.
    """
    regular_file(path)
    try:
        file = h5py.File(path, "r")
    except BlockingIOError as error:
        raise UserError(f"{path} is open for writing in another program. Close it there.") from error
    try:
        _check_objects(path, file)
    except BaseException:
        file.close()
        raise
    return file


def _check_objects(path: Path, file: h5py.File) -> None:
    groups, seen = [file["/"]], set[int]()
    while groups:
        group = groups.pop()
        for name in group:
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                _refuse(path, f"{group.name.rstrip('/')}/{name}", f"a link into {link.filename}")
            if not isinstance(link, h5py.HardLink):
                continue  # within the file, and seen where it leads
            item = group[name]
            address = int(h5py.h5o.get_info(item.id).addr)
            if address in seen:
                continue
            seen.add(address)
            if isinstance(item, h5py.Group):
                groups.append(item)
            elif isinstance(item, h5py.Dataset):
                _check_array(path, item)


def _check_array(path: Path, item: h5py.Dataset) -> None:
    if item.external:
        _refuse(path, item.name, f"values stored in {item.external[0][0]}")
    if item.is_virtual and any(source.file_name != "." for source in item.virtual_sources()):
        _refuse(path, item.name, f"a view of {item.virtual_sources()[0].file_name}")
    check_bomb(path, item.name, prod(item.shape or ()) * item.dtype.itemsize, item.id.get_storage_size())


def _refuse(path: Path, name: str, what: str) -> None:
    raise UserError(
        f"{path}: {name} is {what}, another file, which the fingerprint of these data would not cover. "
        "Copy the values into one file (h5repack, or h5py's create_dataset)."
    )


def read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read shape and type off the header of an npy file or member, and leave the stream at its values.

    Raises:
        ValueError: it is no such header.
    """
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    return shape, dtype


def _check_length(path: Path, stream: IO[bytes], size: int, kind: str, what: str = "") -> None:
    shape, dtype = read_header(stream)
    if dtype.hasobject:
        return  # refused where it is read, with what to do
    expected = stream.tell() + prod(shape) * dtype.itemsize
    if any(side < 0 for side in shape) or size != expected:
        raise UserError(
            f"{path} cannot be read as {kind} (cut short or damaged?): {what}an array {shape} of {dtype} takes "
            f"{expected} bytes, {size} are there. Fetch it again."
        )
