"""Dataset readers, splits and loaders.

The names below load on first use: looking benchmarks up (``stbench list``) must not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stbench.lazy import lazy_names

if TYPE_CHECKING:
    from stbench.data.benchmarks.folders import data_dirs
    from stbench.data.benchmarks.lookup import (
        BENCHMARKS,
        card,
        dataset_spec,
        get_protocol,
        load_benchmark,
        needs_files,
        published_table,
    )
    from stbench.data.dataset import (
        DATASETS,
        DatasetContext,
        Indices,
        Reader,
        ReaderOptions,
        Split,
        Splits,
        open_dataset,
    )
    from stbench.data.loader import ClipLoader, evenly_spaced

__all__ = [
    "BENCHMARKS",
    "DATASETS",
    "ClipLoader",
    "DatasetContext",
    "Indices",
    "Reader",
    "ReaderOptions",
    "Split",
    "Splits",
    "card",
    "data_dirs",
    "dataset_spec",
    "evenly_spaced",
    "get_protocol",
    "load_benchmark",
    "needs_files",
    "open_dataset",
    "published_table",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        ".dataset": (
            "DATASETS",
            "DatasetContext",
            "Indices",
            "Reader",
            "ReaderOptions",
            "Split",
            "Splits",
            "open_dataset",
        ),
        ".benchmarks.lookup": (
            "BENCHMARKS",
            "card",
            "dataset_spec",
            "get_protocol",
            "load_benchmark",
            "needs_files",
            "published_table",
        ),
        ".benchmarks.folders": ("data_dirs",),
        ".loader": ("ClipLoader", "evenly_spaced"),
    },
)
