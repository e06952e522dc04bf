"""Imports that cost less: names of a package that load on first use, and fewer looks at all objects meanwhile."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(
    package: str, homes: Mapping[str, Iterable[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Build a package's ``__getattr__`` and ``__dir__`` (PEP 562).

    Args:
        package: the package's ``__name__``.
        homes: module -> names that it defines; a module that begins with a dot is relative to the package.
    """
    home_of = {name: home for home, names in homes.items() for name in names}

    def load(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(home_of[name], package), name)

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home_of})

    return load, names


def collect_seldom() -> None:
    """Look for cycles of unused objects less often, in a process that works for stbench alone.

    While torch and others load, Python looks at all objects again and again, and finds none: a sixth of the time of a
    short command (Python 3.11, whose first threshold is 700).
    """
    gc.set_threshold(5000, 10, 10)
