"""The file that a command is asked to write."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from stbench.errors import UserError


def target(path: Path, overwrite: bool, others: Sequence[Path] = ()) -> Path:
    """Where to write: the path, or the regular file that it links to.

    Args:
        others: files of the same command, which must be others.

    Raises:
        UserError: it is a folder, a device, a broken link or one of the others, it exists already, or its folder does
            not.
    """
    real = Path(os.path.realpath(path))  # a link that leads to itself stays as it is
    if path.is_symlink() and not real.is_file():
        raise UserError(f"{path} is a link to {real}, which is no regular file. Give another name.")
    if real.exists() and not real.is_file():
        kind = "a folder" if real.is_dir() else "a device or pipe"
        raise UserError(f"{path} is {kind}, not a file. Give the name of a file.")
    if any(
        real == Path(os.path.realpath(other)) or (real.exists() and other.exists() and real.samefile(other))
        for other in others
    ):
        raise UserError(f"{path} is named twice: it would be written over. Give another name.")
    if real.exists() and not overwrite:
        raise UserError(f"{path} exists. Give another name, or --overwrite.")
    if not real.parent.is_dir():
        raise UserError(f"{path}: no such folder {real.parent}. Create it first.")
    return real
