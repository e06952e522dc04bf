"""The contract between a dataset reader and the harness.

Axes: B batch, T time, C channels, H height, W width. Clips are float32 in the benchmark's model space.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt
from torch import Tensor

from stbench.errors import UserError
from stbench.registry import Registry
from stbench.schema import ClipShape, DatasetSpec, Record, Scaling

Indices = npt.NDArray[np.int64]


class Split(ABC):
    """The clips of one split, addressed by index."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of clips."""

    @abstractmethod
    def clips(self, indices: Indices, epoch: int) -> Tensor:
        """Clips (B, T_in+T_out, C, H, W), float32; ``epoch`` matters only where clips are generated or flipped anew."""

    def frames(self, indices: Indices) -> Indices | None:  # noqa: ARG002 - by default clips share nothing
        """Which recorded frames each clip is made of, (B, T_in+T_out): equal numbers are the same frame.

        None where no two clips share any. Statistics need it: clips that share frames are not independent.
        """
        return None

    def times(self, indices: Indices) -> Indices | None:  # noqa: ARG002 - by default nothing is known
        """When each frame was taken, (B, T_in+T_out) int64 minutes since 1970-01-01 00:00 on the data's own clock.

        ``times % 1440`` is the minute of the day. None where the data have no dates.
        """
        return None

    def unaugmented(self) -> Split:
        """The same clips as recorded: what untrained methods are fitted to. A split that augments says how."""
        return self


@dataclass(frozen=True)
class DatasetContext:
    """What a reader is given besides its own options.

    Attributes:
        name: the benchmark's name, for messages.
        shape: lengths and frame size the clips must have.
        data_dirs: folders to look in, in order.
        hold_out: True cuts validation from the training data; False is the published habit: train on all
            of it, and the test split stands in for validation.
        progress: told how many recordings are decoded, of how many, where something is decoded.
    """

    name: str
    shape: ClipShape
    data_dirs: tuple[Path, ...]
    hold_out: bool = True
    progress: Callable[[int, int], None] = lambda _done, _total: None


class Dataset(ABC):
    """Three splits, how values map to physical units, and one line on what was read and dropped."""

    Options: ClassVar[type[Record]] = Record

    def __init__(self, options: Any, context: DatasetContext) -> None:
        self.options = options
        self.context = context

    train: Split
    val: Split
    test: Split
    report: str
    """One line: what was read, what was dropped and why."""
    fingerprint: str
    """Hash of the source files' content (or of the generator's version and options)."""
    scaling: Scaling = Scaling()
    """How model space maps to physical units; a reader that scales its values sets its own."""

    @final
    def to_physical(self, x: Tensor) -> Tensor:
        """Model space (…, C, H, W) -> physical units, as :attr:`scaling` says."""
        return self.scaling.to_physical(x)


def _check_dataset(plugin: Any) -> None:
    if not (isinstance(plugin, type) and issubclass(plugin, Dataset)):
        raise TypeError(f"expected a subclass of stbench.data.Dataset, got {plugin!r}")


DATASETS: Registry[type[Dataset]] = Registry("dataset reader", "stbench.datasets", _check_dataset)


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
