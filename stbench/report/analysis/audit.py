"""Consistency checks of a table that need only its numbers.

Notation: R the data range, N = C·H·W the values of a frame, e the squared error of a frame summed over C, H, W.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from stbench.report.collect.published import PublishedRow
from stbench.schema import ClipShape

Severity = Literal["contradiction", "suspect"]
Kind = Literal["psnr_low", "psnr_high", "psnr_unusual", "mae_high", "duplicate", "one_cell_apart", "parameters", "leak"]

GAP_LIMIT = 6.0
"""dB above the bound at which the geometric mean of frame errors would be a quarter of the mean."""
GAP_EXCESS = 1.0
"""dB by which a row's gap may exceed the median gap of its table before it is reported."""
MEDIAN_ROWS = 5
PARAMETER_TOLERANCE = 0.01


@dataclass(frozen=True)
class AuditRow:
    """One row of any table.

    ``table``: name of the table within its source. ``values``: printed metric values. ``parameters``: printed count.
    ``expected_parameters``: count of the configuration. ``other_setting``: the row has other frames or another
    configuration than the benchmark, so checks that depend on these are skipped.
    """

    label: str
    values: Mapping[str, float]
    table: str = ""
    parameters: float | None = None
    expected_parameters: int | None = None
    other_setting: bool = False

    @classmethod
    def of_published(cls, row: PublishedRow, expected_parameters: int | None) -> AuditRow:
        """Convert a published row; ``expected_parameters`` is the count of the configuration that it refers to."""
        return cls(
            row.label, row.values, row.table, row.parameters, expected_parameters, other_setting=bool(row.other_setting)
        )


@dataclass(frozen=True)
class Finding:
    """An impossible (contradiction) or implausible (suspect) number of a row."""

    label: str
    kind: Kind
    severity: Severity
    text: str
    table: str = ""

    def __str__(self) -> str:
        where = f" ({self.table})" if self.table else ""
        return f"{self.label}{where}, {self.severity}: {self.text}"


def audit(
    rows: Sequence[AuditRow], shape: ClipShape | None, data_range: float | None, *, printed: bool = True
) -> list[Finding]:
    """Run all checks on all rows; without a shape or data range, bounds between metrics are skipped.

    For a ``printed`` table, a PSNR far above its bound is also reported. For runs whose values of every frame are
    known, it is not: frames may differ that much.
    """
    found: list[Finding] = []
    if shape is not None:
        values = math.prod(shape.frame)
        comparable = [row for row in rows if not row.other_setting]
        found += [f for row in comparable for f in _mae_bound(row, values)]
        bounds = _psnr_bounds(comparable, values, data_range) if data_range is not None else []
        found += [finding for finding in bounds if printed or finding.kind == "psnr_low"]
    return found + _duplicates(rows) + _one_cell_apart(rows) + [f for row in rows for f in _parameters(row)]


def leak_finding(leak: str) -> Finding:
    """Return the finding on every published row of a benchmark whose published split leaks; ``leak`` says how."""
    return Finding("every published row", "leak", "suspect", f"its split leaks: {leak}")


def psnr_floor(mse_frame: float, values: int, data_range: float) -> float:
    """Return the lowest mean PSNR, in dB, that a mean squared error allows.

    PSNR of a frame is -10·log10(e / (N·R²)), convex in e, so by Jensen's inequality the mean of frames is at least the
    PSNR of the mean error: 10·log10(N·R² / mean e). Clipping to [0, R] can only make e smaller and PSNR larger.

    >>> round(psnr_floor(26.69, 4096, 1.0), 2)
    21.86
    """
    return 10 * math.log10(data_range**2 * values / mse_frame)


def _psnr_bounds(rows: Sequence[AuditRow], values: int, data_range: float) -> list[Finding]:
    gaps = {i: gap for i, row in enumerate(rows) if (gap := _gap(row, values, data_range)) is not None}
    usual = statistics.median(gaps.values()) if len(gaps) >= MEDIAN_ROWS else None
    found = []
    for index, gap in gaps.items():
        row = rows[index]
        floor = row.values["psnr"] - gap
        said = f"PSNR {row.values['psnr']:g} dB"
        if gap < -_psnr_tolerance(row):
            text = f"{said} is below {floor:.2f} dB, the lowest that its MSE allows"
            found.append(Finding(row.label, "psnr_low", "contradiction", text, row.table))
        elif gap > GAP_LIMIT:
            text = (
                f"{said} is {gap:.1f} dB above {floor:.2f} dB, the PSNR of its mean error; frames cannot differ so much"
            )
            found.append(Finding(row.label, "psnr_high", "contradiction", text, row.table))
        elif usual is not None and gap > usual + GAP_EXCESS:
            text = f"{said} is {gap:.1f} dB above the PSNR of its mean error, where the other rows have {usual:.1f} dB"
            found.append(Finding(row.label, "psnr_unusual", "suspect", text, row.table))
    return found


def _gap(row: AuditRow, values: int, data_range: float) -> float | None:
    mse, psnr = _mse(row, values), row.values.get("psnr")
    if mse is None or mse <= 0 or psnr is None or not math.isfinite(psnr):
        return None
    return psnr - psnr_floor(mse, values, data_range)


def _mse(row: AuditRow, values: int) -> float | None:
    if "mse_frame" in row.values:
        return row.values["mse_frame"]
    return row.values["mse_pixel"] * values if "mse_pixel" in row.values else None


def _psnr_tolerance(row: AuditRow) -> float:
    """Return the effect of rounding in the printed MSE and PSNR, in dB."""
    name = "mse_frame" if "mse_frame" in row.values else "mse_pixel"
    mse = row.values[name]
    return _half_unit(row.values["psnr"]) + 10 * math.log10(1 + _half_unit(mse) / mse) + 1e-6


def _half_unit(value: float) -> float:
    """Return half a unit of the last printed digit of a number."""
    _, _, decimals = repr(float(value)).partition(".")
    return 0.0 if "e" in decimals else 0.5 * 10.0 ** -len(decimals)


def _mae_bound(row: AuditRow, values: int) -> list[Finding]:
    """Check (Σ|d|)² ≤ N·Σd², which holds for every frame (Cauchy-Schwarz) and for the means (Jensen)."""
    mse, mae = row.values.get("mse_frame"), row.values.get("mae_frame")
    if mse is None or mae is None or not (math.isfinite(mse) and math.isfinite(mae)):
        return []
    most = math.sqrt(values * (mse + _half_unit(mse)))
    if mae - _half_unit(mae) <= most * (1 + 1e-9):
        return []
    text = f"MAE {mae:g} is above {most:.4g}, the highest that its MSE allows"
    return [Finding(row.label, "mae_high", "contradiction", text, row.table)]


def _duplicates(rows: Sequence[AuditRow]) -> list[Finding]:
    """Find rows of one table that agree in all of two or more metrics."""
    found = []
    for one, other in combinations(rows, 2):
        same = _agreeing(one, other)
        if one.table == other.table and one.label != other.label and len(same) >= 2 and same == _common(one, other):
            text = f"every metric equals that of {one.label}"
            found.append(Finding(other.label, "duplicate", "suspect", text, other.table))
    return found


def _one_cell_apart(rows: Sequence[AuditRow]) -> list[Finding]:
    """Find rows of two tables that agree in all metrics but one: the same model, with one wrong cell."""
    found = []
    for one, other in combinations(rows, 2):
        common, same = _common(one, other), _agreeing(one, other)
        if one.table == other.table or len(common) < 3 or len(same) != len(common) - 1:
            continue
        (name,) = common - same
        for row, twin in ((one, other), (other, one)):
            text = (
                f"{name} is {row.values[name]:g} here and {twin.values[name]:g} in {twin.table}, all else being equal"
            )
            found.append(Finding(row.label, "one_cell_apart", "contradiction", text, row.table))
    return found


def _common(one: AuditRow, other: AuditRow) -> set[str]:
    return set(one.values) & set(other.values)


def _agreeing(one: AuditRow, other: AuditRow) -> set[str]:
    return {name for name in _common(one, other) if one.values[name] == other.values[name]}


def _parameters(row: AuditRow) -> list[Finding]:
    if row.parameters is None or not row.expected_parameters or row.other_setting:
        return []
    printed, expected = row.parameters, row.expected_parameters
    if abs(printed - expected) <= PARAMETER_TOLERANCE * expected:
        return []
    text = f"{printed / 1e6:.4g} M parameters, the configuration has {expected / 1e6:.4g} M"
    return [Finding(row.label, "parameters", "contradiction", text, row.table)]
