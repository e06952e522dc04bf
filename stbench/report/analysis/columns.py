"""Cost columns beside scores: seeds, parameters, multiply-adds, training time, profiled speed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from stbench.report.analysis.table import Row, Table
from stbench.report.numbers import format_count, format_duration, format_large

if TYPE_CHECKING:
    from stbench.efficiency.records import Cost, Profile, Speed

NONE = "–"


@dataclass(frozen=True)
class Column:
    """One column: ``key`` for files, ``heading`` for readers, a row's number (None if unknown) and its text."""

    key: str
    heading: str
    number: Callable[[Row], float | None]
    show: Callable[[float], str]

    def text(self, row: Row) -> str:
        """Return the number as shown in a table."""
        if self.key == "n":
            return f"{len(row.seeds)}" if row.trained else f"{len(row.seeds)} (untrained)"
        value = self.number(row)
        return NONE if value is None else self.show(value)


def cost_columns(table: Table) -> list[Column]:
    """Return the columns that have a number for at least one row."""
    known = [
        Column("n", "n", lambda row: len(row.seeds), str),
        Column(
            "parameters",
            "params",
            lambda row: row.parameters if row.finished else None,
            lambda v: format_count(round(v)),
        ),
        Column("macs", "MACs", lambda row: row.macs, format_large),
        Column("seconds", "s/epoch", lambda row: _mean(row.seconds_per_epoch), lambda v: f"{v:.1f}"),
        Column("train_seconds", "training", lambda row: _mean(row.train_seconds), format_duration),
    ]
    columns = [column for column in known if any(column.number(row) is not None for row in table.rows)]
    return [*columns, *profile_columns(table)]


def profile_columns(table: Table) -> list[Column]:
    """Return latency and throughput from every profile that matches a row, numbered if there are several."""
    shown = profiles_of(table)
    columns = []
    for number, profile in enumerate(shown, start=1):
        mark = f" [{number}]" if len(shown) > 1 else ""
        columns += [
            Column(
                f"latency_seconds_{number}", f"latency{mark}", partial(latency, profile), lambda v: f"{1e3 * v:.3g} ms"
            ),
            Column(f"throughput_{number}", f"seq/s{mark}", partial(throughput, profile), lambda v: f"{v:.3g}"),
        ]
    return columns


def profiles_of(table: Table) -> list[Profile]:
    """Return the profiles that match at least one row of the table."""
    return [profile for profile in table.profiles if any(_cost(profile, row) is not None for row in table.rows)]


def unused_profiles(given: Sequence[Path], found: Mapping[Path, Profile], tables: Sequence[Table]) -> dict[Path, str]:
    """Return the given files and folders without a profile shown in any table, with the reason."""
    shown = [profile for table in tables for profile in profiles_of(table)]
    files = [file for file, profile in found.items() if any(profile is other for other in shown)]
    reason = "no run matches its methods and sizes, so it was not used"
    return {path: reason for path in given if not any(file.is_relative_to(path.resolve()) for file in files)}


def latency(profile: Profile, row: Row) -> float | None:
    """Return the median seconds of predicting one clip; None if not measured."""
    return next((speed.seconds.p50 for speed in _speeds(profile, row) if speed.batch == 1 and speed.seconds), None)


def throughput(profile: Profile, row: Row) -> float | None:
    """Return predicted sequences per second at the best batch size; None if not measured."""
    known = [speed.sequences_per_second for speed in _speeds(profile, row)]
    return max((value for value in known if value is not None), default=None)


def cost_notes(table: Table) -> list[str]:
    """Return notes on how, and on which machine, the columns were measured."""
    notes = []
    if any(row.macs for row in table.rows):
        notes.append("MACs: multiply-adds of one prediction over the whole horizon, batch 1, fvcore's convention.")
    shown = profiles_of(table)
    for number, profile in enumerate(shown, start=1):
        mark = f"[{number}] " if len(shown) > 1 else ""
        notes.append(
            f"{mark}Latency (median, batch 1) and sequences per second (best batch size): {_arithmetic(profile)}, "
            f"{hardware(profile)}."
        )
    return notes


def hardware(profile: Profile) -> str:
    """Describe the machine of a profile."""
    known = profile.environment
    compiled = ", compiled" if profile.compiled else ""
    return f"{known['device']}, torch {known['libraries']['torch']}, threads: {known['threads']}{compiled}"


def _mean(cell: object) -> float | None:
    return getattr(cell, "mean", None)


def _cost(profile: Profile, row: Row) -> Cost | None:
    """Return the profile's entry with the same method, encoder, shape, parameters and MACs, or None."""
    for cost in profile.costs:
        same_name = (cost.method, cost.encoder, cost.shape) == (row.spec.method, row.spec.encoder, row.spec.shape)
        if same_name and cost.parameters.total == row.parameters and row.macs in (None, cost.macs.total):
            return cost
    return None


def _speeds(profile: Profile, row: Row) -> list[Speed]:
    cost, precision = _cost(profile, row), _precision(profile)
    speeds = () if cost is None else cost.speeds
    return [speed for speed in speeds if speed.mode == "inference" and speed.precision == precision]


def _precision(profile: Profile) -> str:
    """Return the first precision that was profiled."""
    return next((speed.precision for cost in profile.costs for speed in cost.speeds), "32")


def _arithmetic(profile: Profile) -> str:
    return {"32": "float32"}.get(_precision(profile), _precision(profile))
