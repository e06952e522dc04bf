"""From a benchmark's dataset section to a checked dataset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from stbench.data.base import DATASETS, Dataset, DatasetContext, Split
from stbench.errors import UserError
from stbench.schema import ClipShape, DatasetSpec


def build_dataset(
    name: str,
    spec: DatasetSpec,
    shape: ClipShape,
    data_dirs: tuple[Path, ...],
    hold_out: bool,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Build a benchmark's dataset and check that every split gives clips of the declared shape.

    Args:
        name: the benchmark's name.
        spec: reader and its options (see :func:`stbench.data.dataset_spec`).
        shape: lengths and frame size the clips must have.
        data_dirs: folders to look in, in order.
        hold_out: True cuts validation from the training data; False lets the test split stand in for it.
        progress: told how many recordings are decoded, of how many.

    Raises:
        UserError: unknown reader or option, missing or damaged files, or clips of another shape.
    """
    reader = DATASETS.get(spec.reader)
    options = reader.Options.parse(spec.options, f"{name}: dataset.options")
    context = DatasetContext(name, shape, data_dirs, hold_out)
    dataset = reader(options, context if progress is None else replace(context, progress=progress))
    for label in ("train", "val", "test"):
        _check_split(name, label, getattr(dataset, label), shape)
    return dataset


def _check_split(name: str, label: str, split: Split, shape: ClipShape) -> None:
    if not len(split):
        raise UserError(f"{name}: the {label} split holds no clips.")
    seen = tuple(split.clips(np.zeros(1, dtype=np.int64), 0).shape)
    expected = (1, shape.length, *shape.frame)
    if seen != expected:
        raise UserError(
            f"{name}: the {label} split gives clips (B, T, C, H, W) of shape {seen}, the benchmark declares {expected}."
        )
