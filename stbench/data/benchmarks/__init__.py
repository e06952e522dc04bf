"""Look-up of benchmarks, their folders, files and downloads; benchmarks made from a user's own data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stbench.lazy import lazy_names

if TYPE_CHECKING:
    from stbench.data.benchmarks.lookup import BENCHMARKS, get_protocol, load_benchmark

__all__ = ["BENCHMARKS", "get_protocol", "load_benchmark"]

__getattr__, __dir__ = lazy_names(__name__, {".lookup": ("BENCHMARKS", "get_protocol", "load_benchmark")})
