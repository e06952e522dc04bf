"""Reading of run folders, published numbers and profiles; ``stbench.report(path)`` writes a report."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    """The package is also the function of its name: whoever imports it must not hide ``stbench.report(...)``."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Write a report; see :func:`stbench.api.report`."""
        return import_module("stbench.api").report(*arguments, **options)


sys.modules[__name__].__class__ = _CallablePackage
report = sys.modules[__name__]
