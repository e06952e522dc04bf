"""The contract between a dataset reader and the harness.

Axes: B batch, T time, C channels, H height, W width. Clips are float32 in the benchmark's model space.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from stbench.errors import UserError
from stbench.registry import Registry
from stbench.schema import ClipShape, DatasetSpec, Record, Scaling

if TYPE_CHECKING:  # describing a dataset must not wait for torch
    from torch import Tensor

Indices = npt.NDArray[np.int64]

UNSCALED = Scaling()  # model space is physical


class Split(ABC):
    """The clips of one split, addressed by index."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of clips."""

    @abstractmethod
    def clips(self, indices: Indices, epoch: int) -> Tensor:
        """Return clips (B, T_in+T_out, C, H, W), float32. ``epoch`` changes clips that are generated or augmented."""

    def frames(self, indices: Indices) -> Indices | None:  # noqa: ARG002 - by default clips share nothing
        """Return the numbers of the recorded frames of each clip, (B, T_in+T_out): equal numbers are the same frame.

        Return None if no two clips share a frame. Statistics need the numbers: clips that share frames depend on
        each other.
        """
        return None

    def times(self, indices: Indices) -> Indices | None:  # noqa: ARG002 - by default nothing is known
        """Return when each frame was taken, (B, T_in+T_out) int64 seconds since 1970-01-01 00:00 on the data's clock.

        ``times % 86400`` is the second of the day. None if the data have no dates.
        """
        return None

    def unaugmented(self) -> Split:
        """Return the same clips as recorded, for fitting untrained methods. A split that augments overrides this."""
        return self


@dataclass(frozen=True, kw_only=True)
class Splits:
    """An opened dataset.

    Attributes:
        train: clips that methods are trained on.
        val: clips that select the checkpoint; the test split itself if nothing is held out.
        test: clips that are scored.
        report: one line: what was read, what was dropped and why.
        fingerprint: hash of the source files' content (or of the generator's version and options).
        scaling: how model space maps to physical units; the default changes nothing.
        frame_cache: folder of the decoded frames; None if the reader keeps none.
        understood: axes, times, missing values, units and the like as understood from the files: (name, text) pairs.
        calendar: of the times.
        incomplete: whether clips may be NaN where nothing was measured. Losses and metrics leave these cells out.
    """

    train: Split
    val: Split
    test: Split
    report: str
    fingerprint: str
    scaling: Scaling = UNSCALED
    frame_cache: Path | None = None
    understood: tuple[tuple[str, str], ...] = ()
    calendar: str = "standard"
    incomplete: bool = False

    def to_physical(self, x: Tensor) -> Tensor:
        """Convert model space (…, C, H, W) to physical units, as :attr:`scaling` says."""
        return self.scaling.to_physical(x)


@dataclass(frozen=True)
class DatasetContext:
    """What a reader receives besides its own options.

    Attributes:
        name: the benchmark's name, for messages.
        shape: lengths and frame size the clips must have.
        data_dirs: folders to look in, in order.
        hold_out: True cuts validation from the training data. False is the published habit: train on all of it and
            use the test split as validation.
        on_decoded: called with the number of recordings decoded so far and in all.
    """

    name: str
    shape: ClipShape
    data_dirs: tuple[Path, ...]
    hold_out: bool = True
    on_decoded: Callable[[int, int], None] = lambda _done, _total: None


class Source(Record):
    """Where a benchmark's files come from: a sentence for the user and the page to open."""

    text: str
    url: str | None = None


class ReaderOptions(Record):
    """Options of a reader; the base of every reader's own.

    Attributes:
        files: names of files, or patterns of names below the benchmark's folder; all are needed. Empty if the reader
            needs no files.
        folders: further names of the folder that may hold the files.
        source: where to get the files.
    """

    files: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    source: Source | None = None

    @classmethod
    def read_common(cls, options: Mapping[str, Any], where: str) -> Self:
        """Read the options that every reader has out of a benchmark's, without loading its reader.

        Raises:
            UserError: one of them has a wrong type.
        """
        return cls.parse({key: value for key, value in options.items() if key in cls.model_fields}, where)

    @property
    def file_sets(self) -> tuple[tuple[str, ...], ...]:
        """Sets of files to look for in the data folders, the preferred one first; one complete set is enough."""
        return (self.files,) if self.files else ()


class Reader(ABC):
    """A dataset reader: the plugin of the entry-point group ``stbench.datasets``."""

    Options: ClassVar[type[ReaderOptions]] = ReaderOptions

    @classmethod
    @abstractmethod
    def open(cls, options: Any, context: DatasetContext) -> Splits:
        """Read the files (or prepare the generator) and return the three splits.

        Args:
            options: a record of :attr:`Options`.
            context: the benchmark's name, clip shape, data folders and whether validation is held out.

        Raises:
            UserError: files are missing or damaged, or do not fit the options.
        """


def _check_reader(plugin: Any) -> None:
    if not (isinstance(plugin, type) and issubclass(plugin, Reader)):
        raise TypeError(f"expected a subclass of stbench.data.Reader, got {plugin!r}")


DATASETS: Registry[type[Reader]] = Registry("dataset reader", "stbench.datasets", _check_reader)


def reader_options(name: str, spec: DatasetSpec) -> ReaderOptions:
    """Load a benchmark's reader and return its options as the reader's own record.

    Raises:
        UserError: unknown reader or option, or a wrong value.
    """
    return DATASETS.get(spec.reader).Options.parse(spec.options, f"{name}: dataset.options")


def open_dataset(
    name: str,
    spec: DatasetSpec,
    shape: ClipShape,
    data_dirs: tuple[Path, ...],
    hold_out: bool,
    on_decoded: Callable[[int, int], None] = lambda _done, _total: None,
) -> Splits:
    """Open a benchmark's dataset and check that every split gives clips of the declared shape.

    Args:
        name: the benchmark's name.
        spec: reader and its options (see :func:`stbench.data.dataset_spec`).
        shape: lengths and frame size the clips must have.
        data_dirs: folders to look in, in order.
        hold_out: True cuts validation from the training data; False uses the test split as validation.
        on_decoded: called with the number of recordings decoded so far and in all.

    Raises:
        UserError: unknown reader or option, missing or damaged files, or clips of another shape.
    """
    context = DatasetContext(name, shape, data_dirs, hold_out, on_decoded)
    splits = DATASETS.get(spec.reader).open(reader_options(name, spec), context)
    for label in ("train", "val", "test"):
        _check_split(name, label, getattr(splits, label), shape)
    return splits


def _check_split(name: str, label: str, split: Split, shape: ClipShape) -> None:
    if not len(split):
        raise UserError(f"{name}: the {label} split holds no clips.")
    seen = tuple(split.clips(np.zeros(1, dtype=np.int64), 0).shape)
    expected = (1, shape.length, *shape.frame)
    if seen != expected:
        raise UserError(
            f"{name}: the {label} split gives clips (B, T, C, H, W) of shape {seen}, the benchmark declares {expected}."
        )
