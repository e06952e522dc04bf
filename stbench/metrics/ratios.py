"""Metrics from sums: the statistics of all frames are added before the division.

Axes: B sequences, T lead times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from stbench.errors import UserError
from stbench.metrics.metric import ARGUMENT, Metric

if TYPE_CHECKING:
    from torch import Tensor

    from stbench.metrics.frames import Frames
    from stbench.schema import ClipShape, Evaluation


def ratio(above: Any, below: Any) -> Any:
    """Return ``above / below`` of tensors or arrays, NaN (not infinite) where ``below`` is 0.

    >>> import numpy as np
    >>> with np.errstate(invalid="ignore"):
    ...     ratio(np.array([1.0, 1.0]), np.array([2.0, 0.0])).tolist()
    [0.5, nan]
    """
    return above / (below / (below != 0))


@dataclass(frozen=True, kw_only=True)
class FromSums(Metric):
    """A score of summed statistics: ``measure`` returns them for each frame, ``score`` uses their means."""

    leaves_out_missing: bool = True
    measure: Callable[[Frames], tuple[Tensor, ...]]
    score: Callable[..., Any] = ratio

    def statistics(self, frames: Frames) -> tuple[Tensor, ...]:
        """Return the statistics of each frame, (B, T) each."""
        return self.measure(frames)

    def finish(self, means: Sequence[Any]) -> Any:
        """Return the score of their means."""
        return self.score(*means)


@dataclass(frozen=True, kw_only=True)
class AboveThreshold(Metric):
    """A score that depends on a threshold in the units of the data.

    ``setting`` names the key of the evaluation that states it; the name of a column ends in ``@`` and the value.
    """

    leaves_out_missing: bool = True
    argument: str = "THRESHOLD"
    setting: str = "thresholds"
    threshold: float = float("nan")

    def columns(self, evaluation: Evaluation, shape: ClipShape) -> tuple[str, ...]:  # noqa: ARG002 - any shape
        """Return one column for each threshold."""
        return tuple(f"{self.name}{ARGUMENT}{value:g}" for value in self.stated(evaluation))

    def stated(self, evaluation: Evaluation) -> tuple[float, ...]:
        """Return the thresholds that the evaluation states.

        Raises:
            UserError: it states none.
        """
        found = getattr(evaluation, self.setting)
        if found is None:
            example = "[1,5]" if self.setting == "thresholds" else "10"
            raise UserError(
                f"The metric {self.name!r} needs evaluation.{self.setting}, in the units of the data. State it in the "
                f"protocol or with --set evaluation.{self.setting}={example}, or ask for one value: "
                f"{self.name}{ARGUMENT}5."
            )
        return tuple(found) if isinstance(found, Sequence) else (found,)

    def with_argument(self, text: str) -> Self:
        """Return the score at a threshold.

        Raises:
            UserError: the text is not a number.
        """
        value = number(self.name, text)
        found: Self = bound(self, f"{value:g}", threshold=value)
        return found


def bound(metric: Any, argument: str, **changes: Any) -> Any:
    """Return a metric with its argument in name and formula."""
    from dataclasses import replace

    name = f"{metric.name.partition(ARGUMENT)[0]}{ARGUMENT}{argument}"
    return replace(metric, name=name, formula=f"{metric.formula}; {metric.argument} = {argument}", **changes)


def number(name: str, text: str) -> float:
    """Parse the number after a metric's name.

    Raises:
        UserError: it is not a finite number.
    """
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if value - value != 0:
        raise UserError(f"The metric {name}{ARGUMENT}{text}: expected a number after {ARGUMENT}, as {name}{ARGUMENT}5.")
    return value
