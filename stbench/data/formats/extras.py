"""Packages that are needed by some files only: imported when such a file is met."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from stbench.errors import UserError

EXTRAS = {"xarray": "weather", "cftime": "weather", "zarr": "weather"}


def needed(package: str, because: str) -> Any:
    """Import an optional package.

    Args:
        package: a key of ``EXTRAS``.
        because: the file and what in it needs the package, for the message.

    Raises:
        UserError: it is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise UserError(f"{because}; reading it needs {package}: pip install 'stbench[{EXTRAS[package]}]'.") from error
