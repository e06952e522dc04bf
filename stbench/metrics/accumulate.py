"""Accumulation of frame statistics to scores: streaming, in float64, of constant size, summable over processes.

Axes: B batch, T time (lead times), K statistics of all metrics.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from stbench.errors import UserError
from stbench.metrics.metric import Metric, check_metrics
from stbench.schema import Score


class MetricAccumulator:
    """Sums of statistics and counts per lead time, independent of batch sizes and number of processes.

    >>> accumulator = MetricAccumulator(["mse_frame"], t_out=2, data_range=None)
    >>> accumulator.update({"mse_frame": (torch.tensor([[1.0, 3.0], [2.0, 4.0]]),)})
    >>> accumulator.update({"mse_frame": (torch.tensor([[6.0, 8.0]]),)})
    >>> accumulator.compute()["mse_frame"]
    Score(total=4.0, lead_times=(3.0, 5.0), undefined=0)

    Args:
        names: metrics to accumulate.
        t_out: number of lead times.
        data_range: peak of the data; checked here, before any work is done.
        device: device of the sums.

    Raises:
        UserError: an unknown metric, or a missing data range.
    """

    def __init__(
        self, names: Sequence[str], t_out: int, data_range: float | None, device: torch.device | str = "cpu"
    ) -> None:
        self.metrics = check_metrics(names, data_range=data_range)
        self.names = tuple(metric.name for metric in self.metrics)
        self.t_out = t_out
        rows = sum(len(metric.parts) for metric in self.metrics)
        self._state = torch.zeros(rows + len(self.metrics) + 1, t_out, dtype=torch.float64, device=device)

    def update(self, statistics: Mapping[str, Sequence[Tensor]], scored: Tensor | None = None) -> None:
        """Add a batch: the statistics of every metric, (B, T) per part (:func:`stbench.metrics.frame_statistics`).

        ``scored``: (B, T) bool, False for frames that are left out because they have no true value at all.
        """
        if not self.names:
            return
        taken = torch.stack([part.double() for name in self.names for part in statistics[name]])  # (K, B, T)
        is_undefined = self._undefined(taken)
        if scored is None:
            count = torch.full((self.t_out,), taken.shape[1])
        else:
            taken, is_undefined, count = taken.where(scored, 0.0), is_undefined & scored, scored.sum(0)
        sums = (taken.sum(1), is_undefined.sum(1), count[None])
        self._state += torch.cat([rows.to(self._state) for rows in sums])

    def _undefined(self, statistics_KBT: Tensor) -> Tensor:
        """Return which values of single frames are NaN, (M, B, T) bool."""
        on_cpu = statistics_KBT.is_cpu
        rows: Any = statistics_KBT.numpy() if on_cpu else statistics_KBT  # small arrays: numpy's calls cost less
        with np.errstate(all="ignore"):
            values = [metric.finish(list(parts)) for metric, parts in self._of_each(rows)]
        return (torch.from_numpy(np.stack(values)) if on_cpu else torch.stack(values)).isnan()

    def _of_each(self, rows: Any) -> Iterator[tuple[Metric, Any]]:
        """Yield every metric with the rows of its parts."""
        row = 0
        for metric in self.metrics:
            yield metric, rows[row : row + len(metric.parts)]
            row += len(metric.parts)

    def merge(self, other: MetricAccumulator) -> None:
        """Add the sums of another accumulator with the same metrics and lead times."""
        if (self.names, self.t_out) != (other.names, other.t_out):
            raise ValueError(f"cannot merge {self.names}, {self.t_out} with {other.names}, {other.t_out}")
        self._state += other.state().to(self._state)

    def state(self) -> Tensor:
        """(K+M+1, T) float64: sums of each statistic, undefined frames of each of M metrics, frames.

        Adding states adds what they have seen.
        """
        return self._state

    def load(self, state: Tensor) -> Self:
        """Replace the state, for example with the sum over processes."""
        if state.shape != self._state.shape:
            raise ValueError(f"state of shape {tuple(state.shape)}, expected {tuple(self._state.shape)}")
        self._state = state.to(self._state)
        return self

    def compute(self) -> dict[str, Score]:
        """Return the total and per-lead-time score of each metric.

        Raises:
            UserError: no frame was scored. A lead time without a scored frame is NaN.
        """
        state = self._state.cpu()
        counts = state[-1]
        if not bool(counts.sum() > 0):
            raise UserError("No frame was scored: the split has no clips.")
        undefined = state[-1 - len(self.metrics) : -1].sum(1)
        scores = {}
        for number, (metric, sums) in enumerate(self._of_each(state)):
            by_lead_time = metric.finish([part / counts for part in sums])
            total = by_lead_time.mean() if metric.by_lead_time else _total(metric, sums, counts)
            scores[metric.name] = Score(
                total=float(total), lead_times=tuple(by_lead_time.tolist()), undefined=int(undefined[number])
            )
        return scores


def _total(metric: Metric, sums: Tensor, counts: Tensor) -> Any:
    return metric.finish([part.sum() / counts.sum() for part in sums])
