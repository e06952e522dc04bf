"""Budget of a run: wall-clock time, multiply-adds or epochs."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import ConfigDict, PositiveFloat, model_validator

from stbench.errors import counted
from stbench.schema.base import Record

BudgetKind = Literal["time", "macs", "epochs"]
MOST_SECONDS = 10 * 365 * 86400
_UNITS: dict[str, tuple[BudgetKind, float]] = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), ("time", 1.0)),
    **dict.fromkeys(("min", "minute", "minutes"), ("time", 60.0)),
    **dict.fromkeys(("h", "hour", "hours"), ("time", 3600.0)),
    "macs": ("macs", 1.0),
    **dict.fromkeys(("epoch", "epochs"), ("epochs", 1.0)),
}
_TEXT = re.compile(r"\s*([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*([a-z]+)\s*", re.IGNORECASE)


class Budget(Record):
    """A training budget, equal for all methods of a comparison; ``amount`` in seconds, multiply-adds or epochs.

    It can be parsed from text: ``10min``, ``1e15MACs``, ``20 epochs``.

    >>> Budget.model_validate("1.5 h").amount
    5400.0
    """

    model_config = ConfigDict(allow_inf_nan=False)

    kind: BudgetKind
    amount: PositiveFloat

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        found = _TEXT.fullmatch(value)
        if found is None or found[2].lower() not in _UNITS:
            raise ValueError("expected a number with a unit, e.g. 10min, 2h, 1e15MACs or 20epochs")
        kind, factor = _UNITS[found[2].lower()]
        return {"kind": kind, "amount": float(found[1]) * factor}

    @model_validator(mode="after")
    def _sensible(self) -> Budget:
        if self.kind == "epochs" and not self.amount.is_integer():
            raise ValueError("epochs must be a whole number")
        if self.kind == "time" and self.amount > MOST_SECONDS:
            raise ValueError("expected at most 10 years")
        return self

    def __str__(self) -> str:
        if self.kind == "time":
            return f"{self.amount:g} s"
        return f"{self.amount:g} MACs" if self.kind == "macs" else counted(int(self.amount), "epoch")
