"""The contract of a metric plugin (entry-point group ``stbench.metrics``), and look-up by name.

Imports neither torch nor numpy, so that listing metrics is instant; a plugin imports them inside its methods.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from stbench.errors import UserError
from stbench.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

    from stbench.metrics.frames import Frames
    from stbench.schema import ClipShape, Evaluation

Need = Literal["data_range", "physical", "latitudes", "normals"]
Reduction = Literal["mean", "rms", "parts"]
ARGUMENT = "@"
"""Between a metric's name and its argument: ``csi@16`` is the critical success index of events of at least 16."""


@dataclass(frozen=True, kw_only=True)
class Metric(ABC):
    """Definition and computation of a metric, one column of a table.

    A metric computes statistics of every frame (one sequence at one lead time). :meth:`finish` turns their means over a
    set of frames, such as a lead time or a split, into the score of that set. A mean has one statistic, the value; a
    root of a mean has one, the square; a ratio of sums has two, numerator and denominator.

    Attributes:
        name: identifies the convention; two conventions never share a name.
        formula: formula of a frame, and how frames are pooled. y is the true frame, ŷ the predicted one, C, H, W its
            channels and pixels, R the benchmark's ``data_range``, "clip" the restriction of a frame to [0, R].
        unit: unit of the value; "model" is the benchmark's model space, "physical" the units of the data.
        lower_is_better: direction of improvement.
        best: the value of a perfect prediction where neither lower nor higher is better (a ratio); such columns are
            not ranked.
        reference: where the definition is from.
        needs: what must be known: the peak of the data, frames in physical units, latitudes of the rows, the training
            data's climatology.
        shared: statistics of :mod:`stbench.metrics.statistics` that it takes from ``frames.shared``; they are computed
            once for all metrics.
        parts: names of the statistics.
        by_lead_time: whether the total is the mean over lead times of their scores, not the score of all frames.
        argument: what follows ``@`` in the name of one of its columns; empty for a metric that is a column by itself.
        clips: whether true frames are clipped to [0, R] too. On a split whose true values leave that range such a
            metric would hide errors, so it is left out of the scores (:mod:`stbench.evaluate.score`).
        beside: metrics that are always measured with this one.
        leaves_out_missing: whether it leaves out cells whose true value is NaN (``frames.known``). Other metrics are
            not measured on data that lack values.
    """

    name: str
    formula: str
    unit: str
    lower_is_better: bool = True
    best: float | None = None
    reference: str = ""
    needs: frozenset[Need] = frozenset()
    shared: tuple[str, ...] = ()
    parts: tuple[str, ...] = ("value",)
    clips: bool = False
    beside: tuple[str, ...] = ()
    leaves_out_missing: bool = False
    by_lead_time: bool = False
    argument: str = ""

    @property
    def averaging(self) -> str:
        """The order of averaging, for people."""
        if self.by_lead_time:
            return "sums per lead time, score, mean of lead times"
        return {"mean": "mean of frames", "rms": "root of the mean of frames", "parts": "sums of all frames, score"}[
            self.reduction
        ]

    @property
    def direction(self) -> str:
        """Which values are better, for people."""
        return f"{self.best:g}" if self.best is not None else "lower" if self.lower_is_better else "higher"

    def columns(self, evaluation: Evaluation, shape: ClipShape) -> tuple[str, ...]:  # noqa: ARG002 - most are one
        """Names of the columns that it stands for under these settings; by default its own.

        Raises:
            UserError: a setting that it needs is not stated.
        """
        return (self.name,)

    def with_argument(self, text: str) -> Metric:
        """The metric that a name with an argument means.

        Raises:
            UserError: it takes none, or the text cannot be read.
        """
        raise UserError(f"The metric {self.name!r} takes no argument; {self.name}{ARGUMENT}{text} was given.")

    @property
    def reduction(self) -> Reduction:
        """How frames are pooled: mean, root of the mean of squares, or :meth:`finish` of the parts."""
        return "mean" if len(self.parts) == 1 else "parts"

    @abstractmethod
    def statistics(self, frames: Frames) -> Tensor | tuple[Tensor, ...]:
        """Return the statistics of every frame, one (B, T) tensor per part; NaN where undefined."""

    def finish(self, means: Sequence[Any]) -> Any:
        """Return the score from the mean of each statistic; by default the mean itself.

        Args:
            means: one float64 torch tensor or numpy array per part, all of the same, arbitrary shape.

        Returns:
            The scores, of that shape. Undefined is NaN: a ratio with denominator 0 needs no special treatment.
        """
        return means[0]

    def unavailable(self, frame: tuple[int, int, int]) -> str | None:  # noqa: ARG002 - most metrics always can
        """Return the reason why it cannot be computed here on frames (C, H, W), or None."""
        return None


def _check(plugin: Any) -> None:
    if not isinstance(plugin, Metric):
        raise TypeError(f"expected an instance of a subclass of stbench.metrics.Metric, got {plugin!r}")


METRICS: Registry[Metric] = Registry("metric", "stbench.metrics", _check)


def get_metric(name: str) -> Metric:
    """Look a metric up by name, with its argument where it has one (``csi@16``).

    Raises:
        UserError: the name is unknown (the message suggests a near miss), its plugin cannot be loaded, or the argument
            cannot be read.
    """
    base, has_argument, argument = name.partition(ARGUMENT)
    metric = METRICS.get(base)
    return metric.with_argument(argument) if has_argument else metric


def expand(evaluation: Evaluation, shape: ClipShape, names: Sequence[str] | None = None) -> tuple[str, ...]:
    """Columns of the evaluation's metrics (or ``names``): ``csi`` becomes ``csi@16``, ``csi@74`` … by its thresholds.

    Raises:
        UserError: an unknown metric, or a setting that one needs is not stated.
    """
    found: list[str] = []
    for name in evaluation.metrics if names is None else names:
        metric = get_metric(name)
        found += [metric.name] if ARGUMENT in name else metric.columns(evaluation, shape)
    return tuple(found)


def check_metrics(
    names: Iterable[str], *, data_range: float | None, latitudes_known: bool = True
) -> tuple[Metric, ...]:
    """Resolve names and check that required inputs are known.

    Raises:
        UserError: a name is unknown or repeated, a required data range is missing or not positive, or required
            latitudes are missing.
    """
    metrics = tuple(get_metric(name) for name in names)
    listed = [metric.name for metric in metrics]
    open_ = ", ".join(metric.name for metric in metrics if metric.argument and ARGUMENT not in metric.name)
    if open_:
        raise UserError(f"{open_}: a value must follow, as in {open_.partition(',')[0]}{ARGUMENT}16.")
    for name in listed:
        if listed.count(name) > 1:
            raise UserError(f"Metric {name!r} is listed {listed.count(name)} times. List it once.")
    needy = ", ".join(metric.name for metric in metrics if "data_range" in metric.needs)
    if needy and (data_range is None or not 0 < data_range < float("inf")):
        raise UserError(
            f"{needy}: the peak of the data must be known and positive, data_range is {data_range}. "
            "State data_range in the benchmark, or leave these metrics out."
        )
    needy = ", ".join(metric.name for metric in metrics if "latitudes" in metric.needs)
    if needy and not latitudes_known:
        raise UserError(
            f"{needy}: the latitudes of the rows are not known. State those of the first and the last row "
            "(evaluation.latitudes: [60.0, 50.0]), or leave these metrics out."
        )
    return metrics


def with_companions(names: Iterable[str]) -> tuple[str, ...]:
    """The metrics, each followed by those that are always measured with it (:attr:`Metric.beside`).

    Raises:
        UserError: a name is unknown.
    """
    found = list(names)
    for name in tuple(found):
        missing = [other for other in get_metric(name).beside if other not in found]
        place = found.index(name) + 1
        found[place:place] = missing
    return tuple(found)


def unavailable(names: Iterable[str], frame: tuple[int, int, int]) -> dict[str, str]:
    """Return the metrics that cannot be computed here on frames (C, H, W), each with the reason.

    This may download weights (:mod:`stbench.metrics.trunks`).
    """
    reasons = {name: get_metric(name).unavailable(frame) for name in names}
    return {name: reason for name, reason in reasons.items() if reason is not None}
