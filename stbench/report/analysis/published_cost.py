"""Published parameter and multiply-add counts beside measured ones, with reasons for differences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from stbench.data.benchmarks.lookup import published_table
from stbench.efficiency.records import Cost
from stbench.schema import Record

ROUNDING = 0.006
"""Published counts are printed with three or four digits."""


class PublishedCost(Record):
    """Counts of a published row: parameters in millions, multiply-adds in 10⁹, and reasons for differences."""

    label: str = ""
    table: str = ""
    parameters_m: float | None = None
    macs_g: float | None = None
    source: str = ""
    parameters_note: str | None = None
    macs_note: str | None = None
    flag: str | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """Reasons why the counts differ, and the row's flag; empty if they agree."""
        why = [note for note in (self.parameters_note, self.macs_note) if note is not None]
        return (*why, f"the row's own flag: {self.flag}") if why and self.flag else tuple(why)


def published_cost(benchmark: str, cost: Cost) -> PublishedCost | None:
    """Return the published counts of a method: the first row that agrees, else the first, or None.

    Rows name a method with its variant, or its plugin.
    """
    table = published_table(benchmark)
    if table is None:
        return None
    counted = table[table["params_M"].notna() | table["flops_G"].notna()]
    if "other_setting" in counted:
        counted = counted[counted["other_setting"].isna()]
    for name in (cost.method, cost.plugin):
        rows = counted[counted["plugin"] == name]
        compared = [_compare(row, cost) for row in rows.to_dict("records")]
        if compared:
            return next((one for one in compared if not one.notes), compared[0])
    return None


def _compare(row: Mapping[Any, Any], cost: Cost) -> PublishedCost:
    parameters, macs = _number(row["params_M"]), _number(row["flops_G"])
    flag = row.get("flag")
    return PublishedCost(
        label=str(row["method"]),
        table=str(row["table"]),
        parameters_m=parameters,
        macs_g=macs,
        source=str(row["source"]),
        parameters_note=_parameters_note(parameters, macs, cost),
        macs_note=_macs_note(macs, cost),
        flag=flag if isinstance(flag, str) else None,
    )


def _parameters_note(published: float | None, macs: float | None, cost: Cost) -> str | None:
    """Explain a difference in parameters; dead ones explain it only if equal MACs show that the model is the same."""
    live = cost.parameters.live / 1e6
    if published is None or _equal(published, live):
        return None
    from stbench.nn import METHODS  # brings in torch, which most reports need not wait for

    dead = METHODS.get(cost.plugin).public_layout.dead
    if dead and published > live and macs is not None and _same_work(macs, cost):
        return (
            f"{published:.2f} M published includes {published - live:.2f} M that the forward never uses "
            f"({', '.join(dead)}); {live:.2f} M are live"
        )
    return f"{published:.2f} M published, {live:.2f} M measured: the row has a different configuration"


def _macs_note(published: float | None, cost: Cost) -> str | None:
    if published is None or _equal(published, cost.macs.total / 1e9):
        return None
    one_pass = cost.macs.one_pass
    if one_pass is not None and _equal(published, one_pass / 1e9):
        return (
            f"{published:.2f} G published is one pass of {cost.shape.t_in} frames; "
            f"the horizon of {cost.shape.t_out} takes {cost.macs.total / 1e9:.2f} G"
        )
    return f"{published:.2f} G published, {cost.macs.total / 1e9:.2f} G measured: the row has a different configuration"


def _same_work(published: float, cost: Cost) -> bool:
    one_pass = cost.macs.one_pass
    return _equal(published, cost.macs.total / 1e9) or (one_pass is not None and _equal(published, one_pass / 1e9))


def _equal(published: float, measured: float) -> bool:
    return math.isclose(published, measured, rel_tol=ROUNDING)


def _number(value: Any) -> float | None:
    return None if value is None or math.isnan(float(value)) else float(value)
