"""From the values of frames to a score: streamed, in float64, of constant size, summable over processes.

Axes: B batch, T time (lead times), M metrics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import torch
from torch import Tensor

from stbench.errors import UserError
from stbench.metrics.catalogue import check_metrics, get_metric
from stbench.schema import Score


def sequence_values(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Pool the frames of each sequence: (B, T) per metric -> (B,) per metric."""
    return {name: _finish(name, _poolable(name, frames).mean(1)) for name, frames in values.items()}


def _poolable(name: str, values: Tensor) -> Tensor:
    """What is averaged: the value, or its square where the mean's root is reported."""
    return values.square() if get_metric(name).reduction == "rms" else values


def _finish(name: str, mean: Tensor) -> Tensor:
    return mean.sqrt() if get_metric(name).reduction == "rms" else mean


class MetricAccumulator:
    """Sums and counts per metric and lead time; exact whatever the batch sizes and the number of processes.

    >>> accumulator = MetricAccumulator(["mse_frame"], t_out=2, data_range=None)
    >>> accumulator.update({"mse_frame": torch.tensor([[1.0, 3.0], [2.0, 4.0]])})
    >>> accumulator.update({"mse_frame": torch.tensor([[6.0, 8.0]])})
    >>> accumulator.compute()["mse_frame"]
    Score(total=4.0, lead_times=(3.0, 5.0))

    Args:
        names: metrics to accumulate.
        t_out: number of lead times.
        data_range: checked here, before any work is done.
        device: where the sums are kept.

    Raises:
        UserError: an unknown metric, or a missing data range.
    """

    def __init__(
        self, names: Sequence[str], t_out: int, data_range: float | None, device: torch.device | str = "cpu"
    ) -> None:
        self.names = tuple(metric.name for metric in check_metrics(names, data_range=data_range))
        self.t_out = t_out
        self._state = torch.zeros(len(self.names) + 1, t_out, dtype=torch.float64, device=device)

    def update(self, values: Mapping[str, Tensor]) -> None:
        """Add a batch of frame values, (B, T) per metric; every metric must be there."""
        pooled = [_poolable(name, values[name]).sum(0) for name in self.names]
        count = torch.full((self.t_out,), len(values[self.names[0]]) if self.names else 0)
        self._state += torch.stack([row.to(self._state) for row in (*pooled, count)])

    def merge(self, other: MetricAccumulator) -> None:
        """Add what another accumulator of the same metrics and lead times has seen."""
        if (self.names, self.t_out) != (other.names, other.t_out):
            raise ValueError(f"cannot merge {self.names}, {self.t_out} with {other.names}, {other.t_out}")
        self._state += other.state().to(self._state)

    def state(self) -> Tensor:
        """(M+1, T) float64: one row of sums per metric, then the counts. Adding states adds what they have seen."""
        return self._state

    def load(self, state: Tensor) -> Self:
        """Take over a state, such as the sum of every process's."""
        if state.shape != self._state.shape:
            raise ValueError(f"state of shape {tuple(state.shape)}, expected {tuple(self._state.shape)}")
        self._state = state.to(self._state)
        return self

    def compute(self) -> dict[str, Score]:
        """Total and per-lead-time score of each metric.

        Raises:
            UserError: nothing has been scored yet.
        """
        state = self._state.cpu()
        counts = state[-1]
        if not bool((counts > 0).all()):
            raise UserError("No frame was scored: the split holds no clips.")
        return {
            name: Score(
                total=float(_finish(name, sums.sum() / counts.sum())),
                lead_times=tuple(_finish(name, sums / counts).tolist()),
            )
            for name, sums in zip(self.names, state[:-1], strict=True)
        }
