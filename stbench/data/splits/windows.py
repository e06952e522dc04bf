"""Windows over a time series and their split into train, validation and test without shared frames.

A window is a row of frame numbers; N windows of T frames are an int64 matrix ``windows_NT``, in time order.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from stbench.data.dataset import Indices, Split
from stbench.errors import UserError
from stbench.schema import Record

Windows = npt.NDArray[np.int64]
Fraction = Annotated[float, Field(gt=0, lt=1)]


class LastWindows(Record):
    """Test is the last ``test`` windows of all; validation the last ``val_fraction`` of those before them."""

    kind: Literal["last_windows"] = "last_windows"
    test: PositiveInt
    val_fraction: Fraction = 0.1

    def sizes(self, windows: int) -> tuple[int, int]:
        """Number of validation and test windows among ``windows``."""
        return max(1, round((windows - self.test) * self.val_fraction)), self.test


class LastFraction(Record):
    """Of each file's windows, test is the last ``test_fraction``, validation the ``val_fraction`` before."""

    kind: Literal["last_fraction"] = "last_fraction"
    test_fraction: Fraction
    val_fraction: Fraction = 0.1

    def sizes(self, windows: int) -> tuple[int, int]:
        """Number of validation and test windows among ``windows``."""
        return max(1, round(windows * self.val_fraction)), max(1, round(windows * self.test_fraction))


class LastFile(Record):
    """Test is every window of the last file; validation the last ``val_fraction`` of the windows before them."""

    kind: Literal["last_file"] = "last_file"
    val_fraction: Fraction = 0.1


SplitRule = Annotated[LastWindows | LastFraction | LastFile, Field(discriminator="kind")]


@dataclass(frozen=True)
class SplitWindows:
    """Windows of the three splits, and how many were left out for sharing frames with a later one."""

    train: Windows
    val: Windows
    test: Windows
    straddling: int


class WindowSplit(Split):
    """Clips cut from one series: frames_TCHW are stored once, a row of windows_NT says which make a clip."""

    def __init__(self, frames_TCHW: Tensor, windows_NT: Windows, minutes_T: Windows | None = None) -> None:
        self.frames_TCHW = frames_TCHW
        self.windows_NT = windows_NT
        self.minutes_T = minutes_T

    def __len__(self) -> int:
        return len(self.windows_NT)

    def clips(self, indices: Indices, epoch: int) -> Tensor:  # noqa: ARG002 - a fixed series has no epochs
        """Clips (B, T, C, H, W), float32."""
        return self.frames_TCHW[torch.from_numpy(self.windows_NT[indices])]

    def frames(self, indices: Indices) -> Indices:
        """Numbers of the stored frames, (B, T)."""
        return self.windows_NT[indices]

    def times(self, indices: Indices) -> Indices | None:
        """Minutes since 1970-01-01, (B, T)."""
        return None if self.minutes_T is None else self.minutes_T[self.windows_NT[indices]]


def consecutive_runs(slots: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """Half-open ranges of positions over which ``slots`` (ascending) go up by exactly one.

    >>> import numpy as np
    >>> consecutive_runs(np.array([3, 4, 5, 9, 10]))
    [(0, 3), (3, 5)]
    """
    edges = np.flatnonzero(np.diff(slots) != 1) + 1
    bounds = [0, *edges.tolist(), len(slots)]
    return [(a, b) for a, b in pairwise(bounds) if b > a]


def windows_within(runs: list[tuple[int, int]], length: int) -> Windows:
    """Every window of ``length`` consecutive positions that lies inside one run."""
    starts = [np.arange(a, b - length + 1) for a, b in runs if b - a >= length]
    first = np.concatenate(starts) if starts else np.empty(0, dtype=np.int64)
    return first[:, None].astype(np.int64) + np.arange(length)


def without(windows_NT: Windows, *held: Windows) -> Windows:
    """The windows that share no frame with any of ``held``."""
    frames = np.concatenate([windows.ravel() for windows in held])
    return windows_NT[~np.isin(windows_NT, frames).any(axis=1)]


def split_windows(groups: list[Windows], rule: SplitRule, hold_out: bool, where: str) -> SplitWindows:
    """Cut windows in time order into train, validation and test, with no frame shared between two splits.

    Args:
        groups: windows of each file, in time order.
        rule: how many go where.
        hold_out: False trains on everything before test, which then also stands in for validation.
        where: the benchmark's name, for messages.

    Raises:
        UserError: too few windows for the rule.
    """
    if isinstance(rule, LastFile):
        parts = [_cut_last_file(groups, rule.val_fraction, where)]
    else:
        groups = [np.concatenate(groups)] if isinstance(rule, LastWindows) else groups
        parts = [_cut(group, *rule.sizes(len(group)), where) for group in groups]
    train, val, test = (np.concatenate(part) for part in zip(*parts, strict=True))
    return leak_free(train, val, test, hold_out, where)


def leak_free(train: Windows, val: Windows, test: Windows, hold_out: bool, where: str) -> SplitWindows:
    """Leave out the windows that share a frame with a later split (train < validation < test).

    ``hold_out`` False trains on validation as well and lets test stand in for it.
    """
    before = len(train) + len(val)
    if hold_out:
        val = without(val, test)
        train = without(train, val, test)
        kept = len(train) + len(val)
    else:
        train, val = without(np.concatenate([train, val]), test), test
        kept = len(train)
    if not (len(train) and len(val) and len(test)):
        raise UserError(
            f"{where}: a split has no windows (train {len(train)}, validation {len(val)}, test {len(test)}) after "
            "leaving out those that share frames with a later split. Give a longer series, or check its time order."
        )
    return SplitWindows(train, val, test, straddling=before - kept)


def _cut_last_file(groups: list[Windows], val_fraction: float, where: str) -> tuple[Windows, Windows, Windows]:
    if len(groups) < 2:
        raise UserError(f"{where}: the last file is the test split, so at least two files are needed.")
    before = np.concatenate(groups[:-1])
    train, val, _ = _cut(before, max(1, round(len(before) * val_fraction)), 0, where)
    return train, val, groups[-1]


def _cut(windows: Windows, val: int, test: int, where: str) -> tuple[Windows, Windows, Windows]:
    if len(windows) <= val + test:
        raise UserError(
            f"{where}: {len(windows)} windows are too few for {val} validation and {test} test windows and some "
            "for training. Give a longer series or a smaller split in the dataset options."
        )
    head = len(windows) - test - val
    return windows[:head], windows[head : head + val], windows[head + val :]
