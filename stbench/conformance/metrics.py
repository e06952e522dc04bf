"""Checks of metrics. Axes: B sequences, T lead times, C, H, W."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from stbench.conformance.outcome import Check, NotApplicableError, ViolationError, check
from stbench.conformance.subject import waves
from stbench.metrics import (
    Metric,
    MetricAccumulator,
    area_weights,
    frame_statistics,
    frame_values,
    get_metric,
    latitude_weights,
)
from stbench.metrics.frechet import FrechetDistance
from stbench.schema import ClipShape, Evaluation, Scaling

SHAPE = ClipShape(t_in=1, t_out=2, channels=1, height=40, width=36)
SETTINGS = Evaluation(metrics=("mse_frame",), thresholds=(45.0, 55.0), flow_threshold=45.0)
"""Where a column needs an argument: events that some, but not all, cells of the frames below show."""
SEQUENCES = 3
NOISE = 0.2


@dataclass(frozen=True)
class MetricSubject:
    """A metric and its registered name."""

    name: str
    metric: Metric

    @property
    def column(self) -> str:
        """Its name, with an argument where it takes one."""
        return self.metric.columns(SETTINGS, SHAPE)[0]

    def frames(self) -> tuple[Tensor, Tensor]:
        """Return predicted and true frames (B, T, C, H, W) in [0, 1]: waves with noise."""
        true = waves(SHAPE, SEQUENCES, seed=1)
        noise = torch.rand(true.shape, generator=torch.Generator().manual_seed(2))
        return (true + NOISE * (noise - 0.5)).clip(0, 1), true

    def measure(self, function: Callable[..., Any], pred: Tensor, true: Tensor, members: int = 2) -> Any:
        """Statistics or values of the metric, given all that it may need; with one member, of the prediction alone."""
        if isinstance(self.metric, FrechetDistance):
            raise NotApplicableError("compares sets of frames; no single frame has a value")
        reason = get_metric(self.column).unavailable(SHAPE.frame)
        if reason is not None:
            raise NotApplicableError(reason)
        degrees = torch.linspace(80.0, -30.0, pred.shape[-2])
        given = {
            "scaling": Scaling(scale=(100.0,)),
            "row_weights": latitude_weights(degrees),
            "row_areas": area_weights(degrees),
            "normals": torch.full_like(pred, 40.0),
            "members": None if members == 1 else torch.stack([pred + 0.02, pred - 0.02]),
        }
        return function([self.column], pred, true, data_range=1.0, **given)[self.column]


@check(crash_cause="an attribute is missing or of another type")
def declaration(subject: MetricSubject) -> None:
    """The metric has its registered name and states its formula."""
    metric = subject.metric
    if metric.name != subject.name:
        cause = "the entry point and the metric's name differ"
        raise ViolationError(f"the name {subject.name!r}, as registered", f"{metric.name!r}", cause)
    if not metric.formula.strip():
        raise ViolationError("a formula", "an empty one", "formula is missing")
    if not metric.parts or len(set(metric.parts)) < len(metric.parts):
        raise ViolationError("a name for each statistic, all different", f"{metric.parts}", "parts is wrong")


@check(crash_cause="statistics() reads what the metric does not declare in needs or shared")
def statistics(subject: MetricSubject) -> None:
    """The metric returns one finite number per frame and part."""
    for part in subject.measure(frame_statistics, *subject.frames()):  # each (B, T)
        if not part.isfinite().all():
            raise ViolationError("finite statistics of ordinary frames", f"{part.tolist()}", "a division by zero")


@check(crash_cause="statistics() mixes frames")
def frames_are_independent(subject: MetricSubject) -> None:
    """A frame's statistics do not depend on the other frames."""
    pred, true = subject.frames()
    whole = subject.measure(frame_statistics, pred, true)
    alone = subject.measure(frame_statistics, pred[1:2, 1:2], true[1:2, 1:2])
    for one, other in zip(whole, alone, strict=True):
        if not torch.allclose(one[1:2, 1:2], other, rtol=1e-5, atol=1e-8, equal_nan=True):
            cause = "statistics() reduces over the batch or time axis"
            raise ViolationError(f"{other.tolist()} as alone", f"{one[1:2, 1:2].tolist()} in a batch", cause)


@check(crash_cause="finish() cannot take arrays of any shape")
def pooling(subject: MetricSubject) -> None:
    """The score of many frames is computed from the means of their statistics, independent of batches."""
    pred, true = subject.frames()
    scores = []
    for sizes in ([SEQUENCES], [1, SEQUENCES - 1]):
        accumulator = MetricAccumulator([subject.column], pred.shape[1], data_range=1.0)
        for p, t in zip(torch.split(pred, sizes), torch.split(true, sizes), strict=True):
            accumulator.update({subject.column: subject.measure(frame_statistics, p, t)})
        scores.append(accumulator.compute()[subject.column])
    if len(scores[0].lead_times) != pred.shape[1] or abs(scores[0].total - scores[1].total) > 1e-9:
        raise ViolationError("the same score from other batches", f"{scores}", "finish() is not a function of means")


@check(crash_cause="a perfect prediction is not handled")
def direction(subject: MetricSubject) -> None:
    """A perfect prediction scores no worse than a noisy one."""
    pred, true = subject.frames()
    noisy, perfect = (float(subject.measure(frame_values, p, true, members=1).mean()) for p in (pred, true))
    best = subject.metric.best
    if best is not None:
        if abs(perfect - best) > abs(noisy - best) + 1e-9:
            seen = f"{noisy:.4g} with noise, {perfect:.4g} without"
            raise ViolationError(f"{best:g} for a perfect prediction", seen, "best is another value")
    elif (perfect > noisy) if subject.metric.lower_is_better else (perfect < noisy):
        better = "lower" if subject.metric.lower_is_better else "higher"
        cause = "lower_is_better has the wrong sign"
        raise ViolationError(f"{better} is better", f"{noisy:.4g} with noise, {perfect:.4g} without", cause)


@check(crash_cause="NaN is not handled")
def undefined_shows(subject: MetricSubject) -> None:
    """A frame with a NaN scores NaN, and only that frame."""
    pred, true = subject.frames()
    pred[1, 0, 0, 3, 4] = float("nan")
    undefined = subject.measure(frame_values, pred, true).isnan()
    if undefined.nonzero().tolist() != [[1, 0]]:
        cause = "NaN is replaced or spreads to other frames"
        raise ViolationError("NaN at frame [1, 0] only", f"NaN at {undefined.nonzero().tolist()}", cause)


@check(crash_cause="a true NaN is not handled")
def missing_cells(subject: MetricSubject) -> None:
    """Cells whose true value is NaN do not count, whatever is predicted there, and the frame still has a value."""
    if not subject.metric.leaves_out_missing:
        raise NotApplicableError("needs every cell of a frame: it is not measured on data that lack values")
    pred, true = subject.frames()
    true[0, 1, :, 3:9, 2:20] = float("nan")
    other = pred.where(~true.isnan(), 0.9)
    seen = [subject.measure(frame_values, p, true) for p in (pred, other)]
    if not bool(seen[0].isfinite().all()) or not torch.allclose(seen[0], seen[1], rtol=1e-6, atol=1e-9):
        cause = "statistics() reads cells outside frames.known"
        raise ViolationError("the same finite values", f"{seen[0].tolist()} and {seen[1].tolist()}", cause)


CHECKS: tuple[Check, ...] = (
    declaration,
    statistics,
    frames_are_independent,
    pooling,
    direction,
    undefined_shows,
    missing_cells,
)
