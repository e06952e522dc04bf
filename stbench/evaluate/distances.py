"""Fréchet distances of a pass over a split: sums of constant size, added over processes. Axes: B, T, C, H, W."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from stbench.errors import UserError
from stbench.metrics import get_metric
from stbench.metrics.frechet import FrechetDistance
from stbench.metrics.moments import Moments
from stbench.schema import Score

if TYPE_CHECKING:
    from stbench.train.engine import Engine


class Distances:
    """The listed metrics that are distances of sets.

    Args:
        names: metrics of the pass, also others.
        t_out: number of lead times.
        peak: peak of the data.
    """

    def __init__(self, names: Sequence[str], t_out: int, peak: float | None, engine: Engine) -> None:
        listed = {name: get_metric(name) for name in names}
        self._metrics = {name: metric for name, metric in listed.items() if isinstance(metric, FrechetDistance)}
        self._moments = {name: Moments(metric.width, engine.device) for name, metric in self._metrics.items()}
        self._t_out, self._peak, self._engine = t_out, peak or float("nan"), engine

    def update(self, pred: Tensor, true: Tensor) -> None:
        """Add a batch of predicted and true frames."""
        for name, metric in self._metrics.items():
            self._moments[name].update(*(metric.features(x, self._peak) for x in (pred, true)))

    def finish(self) -> tuple[dict[str, Score], dict[str, str]]:
        """Return the distances over all processes, and the metrics that have none, with the reason."""
        scores, missing = {}, {}
        for name, moments in self._moments.items():
            whole = moments.load(self._engine.sum(moments.state()))
            try:
                total = whole.distance()
            except UserError as error:
                missing[name] = str(error)
            else:
                scores[name] = Score(total=total, lead_times=(float("nan"),) * self._t_out)
        return scores, missing


def too_short(names: Sequence[str], t_out: int) -> dict[str, str]:
    """Return the distances for which the horizon is too short, with the reason."""
    metrics = {name: get_metric(name) for name in names}
    reasons = {name: m.why_too_short(t_out) for name, m in metrics.items() if isinstance(m, FrechetDistance)}
    return {name: reason for name, reason in reasons.items() if reason is not None}
