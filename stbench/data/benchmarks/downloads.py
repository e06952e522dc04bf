"""Fetch a benchmark's files: from the pinned addresses of its ``downloads.yaml``, a mirror, or a local folder.

A file is written under a temporary name, checked against its hash and renamed; an interrupted download goes on from
where it stopped.
"""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stbench.data.benchmarks.lookup import benchmark_folder
from stbench.data.dataset import reader_options
from stbench.data.gzipped import read_content
from stbench.errors import UserError
from stbench.files import file_hash
from stbench.schema import Benchmark, Record
from stbench.settings import read_yaml

TRIES = 3
TIMEOUT = 30
CHUNK = 1 << 16
ABSENT = "not there, done without it"

OnBytes = Callable[[str, int, int | None], None]


class Download(Record):
    """One file.

    Attributes:
        file: its name in the data folder; with ``*`` in it, a pattern of files that a folder given by the user may
            hold, which keep their place in that folder.
        url: where it is; None where only the page it is on is known (the benchmark's card names it).
        hashes: ``sha256:…`` or ``md5:…`` of the file, any one of which will do; md5 also of what a gz unpacks to.
            Empty where none is published.
        optional: the benchmark can do without it; a folder that lacks it will do.
        unpack: a zip that is unpacked and then removed; a file of its content named here tells that this was done.
    """

    file: str
    url: str | None = None
    hashes: tuple[str, ...] = ()
    unpack: str | None = None
    optional: bool = False


def downloads_of(name: str) -> tuple[Download, ...]:
    """Return the files of a benchmark as its ``downloads.yaml`` lists them; empty if it has none."""
    file = benchmark_folder(name) / "downloads.yaml"
    if not file.is_file():
        return ()
    return tuple(Download.parse(values, str(file)) for values in read_yaml(file, list))


def by_hand(benchmark: Benchmark, changes: Mapping[str, Any]) -> tuple[Download, ...]:
    """Return what to take from a user's folder for a benchmark without a list of files: whatever it reads.

    ``changes`` are dataset options that the user sets, ``files`` among them.
    """
    spec = benchmark.dataset.model_copy(update={"options": {**benchmark.dataset.options, **changes}})
    names = dict.fromkeys(name for files in reader_options(benchmark.name, spec).file_sets for name in files)
    return tuple(Download(file=name, optional=True) for name in names)


def fetch(downloads: Sequence[Download], target: Path, origin: str | None, on_bytes: OnBytes) -> list[str]:
    """Bring every file to ``target``; return a line for each on what was done.

    Args:
        downloads: what to fetch.
        target: the folder they go to.
        origin: a local folder (searched in any depth) or the address of a mirror, instead of the pinned addresses.
        on_bytes: called with a file's name, its bytes so far, and its bytes in all (None if unknown).

    Raises:
        UserError: no connection, a file that is not there, another hash, or a folder that cannot be written.
    """
    try:
        target.mkdir(parents=True, exist_ok=True)
        lines = [f"{item.file}: {_fetch_one(item, target, origin, on_bytes)}" for item in downloads]
    except OSError as error:
        raise UserError(
            f"Cannot write to {target}: {error.strerror or error}. Free space, or name another folder with --data-dir."
        ) from error
    if lines and all(line.endswith(ABSENT) for line in lines):
        names = ", ".join(item.file for item in downloads)
        raise UserError(f"--from {origin}: nothing of {names} is there.")
    return lines


def _fetch_one(item: Download, target: Path, origin: str | None, on_bytes: OnBytes) -> str:
    path = target / item.file
    if "*" in item.file:
        return _copy_matching(item, target, origin)
    if item.unpack is not None and next(target.rglob(item.unpack), None) is not None:
        return "already there"
    if path.is_file():
        check_hash(path, item)
    elif origin is not None and not urlsplit(origin).scheme.startswith("http"):
        if not _copy(item, Path(origin).expanduser(), path):
            return ABSENT
    else:
        url = item.url if origin is None else f"{origin.rstrip('/')}/{item.file}"
        if url is None:
            raise UserError(
                f"{item.file} has no direct link. Fetch it by hand ('stbench data info') and use --from FOLDER."
            )
        _download(item, url, path, on_bytes)
    if item.unpack is None:
        return "there, " + ("hash checked" if item.hashes else "no hash is known")
    _unpack(path, target)
    return "unpacked"


def check_hash(path: Path, item: Download) -> None:
    """Compare a file with its hashes.

    Raises:
        UserError: none fits.
    """
    if not item.hashes:
        return
    seen = {f"{kind}:{file_hash(path, kind=kind)}" for kind in ("sha256", "md5")}
    if path.suffix == ".gz":
        seen.add(f"md5:{hashlib.md5(read_content(path), usedforsecurity=False).hexdigest()}")
    if not seen & set(item.hashes):
        raise UserError(
            f"{path} is damaged or another file: its sha256 is {file_hash(path)}, expected "
            f"{' or '.join(item.hashes)}. Remove it and fetch it again."
        )


def _copy(item: Download, folder: Path, path: Path) -> bool:
    found = next((place for place in sorted(folder.rglob(item.file)) if place.is_file()), None)
    if found is None and item.optional:
        return False
    if found is None:
        raise UserError(f"--from {folder}: {item.file} is not there.")
    check_hash(found, item)
    _copy_whole(found, path)
    return True


def _copy_whole(source: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    shutil.copyfile(source, temporary)
    temporary.replace(path)


def _copy_matching(item: Download, target: Path, origin: str | None) -> str:
    """Copy what matches and is not there in this size yet, each file to its place below the origin."""
    if origin is None or urlsplit(origin).scheme.startswith("http"):
        raise UserError(f"{item.file} stands for a folder tree, which comes from a folder only. Use --from FOLDER.")
    folder = Path(origin).expanduser()
    found = [path for path in sorted(folder.glob(item.file)) if path.is_file()]
    if not found and not item.optional:
        raise UserError(f"--from {folder}: {item.file} is not there.")
    for source in found:
        path = target / source.relative_to(folder)
        if not path.is_file() or path.stat().st_size != source.stat().st_size:
            _copy_whole(source, path)
    return f"{len(found)} files there, no hash is known" if found else ABSENT


def _download(item: Download, url: str, path: Path, on_bytes: OnBytes) -> None:
    import pooch

    pooch.get_logger().setLevel("WARNING")
    # hashes of one kind suffice for what the pinned address gives; pooch moves the file into place once it fits
    known = item.hashes[0] if item.hashes else None
    part = path.with_name(f".{path.name}.part")
    try:
        pooch.retrieve(url, known, fname=path.name, path=path.parent, downloader=_Resuming(part, item.file, on_bytes))
    except UserError:
        raise
    except ValueError as error:
        part.unlink(missing_ok=True)
        raise UserError(f"{url} gave another file than expected: {error}. Try again, or use --from FOLDER.") from error
    part.unlink(missing_ok=True)


class _Resuming:
    """Downloader for pooch that keeps what arrived in ``part`` and asks for the rest only."""

    def __init__(self, part: Path, name: str, on_bytes: OnBytes) -> None:
        self.part = part
        self.name = name
        self.on_bytes = on_bytes

    def __call__(self, url: str, output_file: str, _pooch: Any) -> None:
        import requests

        for attempt in range(TRIES):
            try:
                self._rest(url)
                break
            except requests.HTTPError as error:
                raise UserError(
                    f"Could not download {url}: {error}. Fetch it elsewhere and use --from FOLDER."
                ) from error
            except requests.RequestException as error:
                if attempt + 1 == TRIES:
                    raise UserError(
                        f"Cannot reach {urlsplit(url).netloc} (offline?): {type(error).__name__}, {TRIES} tries. "
                        "What arrived is kept. Fetch the files elsewhere and use --from FOLDER."
                    ) from error
        shutil.copyfile(self.part, output_file)

    def _rest(self, url: str) -> None:
        import requests

        have = self.part.stat().st_size if self.part.is_file() else 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                return  # all of it is here already
            answer.raise_for_status()
            goes_on = answer.status_code == requests.codes.partial_content
            done = have if goes_on else 0
            length = answer.headers.get("Content-Length")
            total = None if length is None else done + int(length)
            with self.part.open("ab" if goes_on else "wb") as file:
                for chunk in answer.iter_content(CHUNK):
                    file.write(chunk)
                    done += len(chunk)
                    self.on_bytes(self.name, done, total)
        if total is not None and done < total:
            raise requests.ConnectionError(f"only {done} of {total} bytes arrived")


def _unpack(path: Path, target: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(target)
    except zipfile.BadZipFile as error:
        raise UserError(f"{path} is no zip (cut short or damaged?): {error}. Remove it and fetch it again.") from error
    path.unlink()
