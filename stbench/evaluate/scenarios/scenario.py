"""The contract of a scenario plugin (entry-point group ``stbench.scenarios``), and the parsing of its text.

A scenario turns the test split of a finished run into one or more cases: other inputs, a longer horizon, another
dataset. Each case is scored like the test split. Axes: B, T, C, H, W, N clips.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from stbench.data import Indices, Split, Splits
from stbench.errors import UserError, first_line
from stbench.nn import Method
from stbench.registry import Registry
from stbench.schema import RunSpec
from stbench.schema.plugin import PluginRecord, record_check
from stbench.settings import load_yaml


@dataclass(frozen=True)
class Finished:
    """A finished run to score: its spec, its data, and the numbers (N,) of the scored test clips."""

    spec: RunSpec
    dataset: Splits
    scored: Indices
    data_dirs: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Case:
    """One column of a scenario: data whose complete test split is scored, and how the method predicts on it.

    ``value``: place on a figure's axis, or None. ``t_out``: the horizon.
    """

    label: str
    value: float | None
    dataset: Splits
    t_out: int
    wrap: Callable[[Method], Method] = lambda method: method


class Scenario(PluginRecord):
    """Options of a scenario; its first case is the reference of the others."""

    registry: ClassVar[Registry[Any]]
    axis: ClassVar[str] = ""
    """What ``value`` of a case means, for a figure; empty where cases have no order."""
    example: ClassVar[str] = ""
    """The text of one to try, with BENCHMARK for the run's own; needed where an option has no default."""

    @property
    def name(self) -> str:
        """The text that asks for it; names its folder in the run."""
        options = self.model_dump(mode="json", exclude={"kind"}, exclude_defaults=True)
        shown = [
            f"{key}={','.join(map(_short, v)) if isinstance(v, list) else _short(v)}" for key, v in options.items()
        ]
        return f"{self.kind}:{','.join(shown)}"

    @abstractmethod
    def cases(self, run: Finished) -> Sequence[Case]:
        """Return the cases, all over the same test clips.

        Raises:
            UserError: the run's data do not allow the scenario.
        """


LONGEST = 10_000
"""Frames beyond which a horizon or a time step is a slip: a clip of that length may have to be held in memory."""
SCENARIOS: Registry[type[Scenario]] = Registry("scenario", "stbench.scenarios", record_check(Scenario))
Scenario.registry = SCENARIOS


def read_scenario(text: str) -> Scenario:
    """Parse ``kind:key=value,key=value`` (lists as ``key=1,2,3``).

    Raises:
        UserError: the scenario or an option is unknown, or a value is invalid.
    """
    kind, _, rest = text.partition(":")
    plugin = SCENARIOS.get(kind)
    values: dict[str, Any] = {}
    for pair in re.split(r",(?=\w+=)", rest) if rest else []:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UserError(
                f"--scenario {text}: {pair!r} is no KEY=VALUE. For example: --scenario {plugin.example or kind}."
            )
        field = plugin.model_fields.get(key)
        wanted = "" if field is None else str(field.annotation)
        as_text = "str" in wanted or "Literal" in wanted
        try:
            values[key] = value if as_text else load_yaml(f"[{value}]" if "tuple" in wanted else value)
        except ValueError as error:
            raise UserError(f"--scenario {text}: cannot read {key}={value} ({first_line(error)}).") from None
    return plugin.parse({"kind": kind, **values}, f"--scenario {text}")


def with_test(dataset: Splits, test: Split) -> Splits:
    """Return the dataset with another test split."""
    return replace(dataset, test=test)


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
