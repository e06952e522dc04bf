"""Scoring of a split in one pass: totals, values per sequence and lead time, sample clips, a check by scikit-image.

Axes: B, T, C, H, W.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, float64

from stbench.data import ClipLoader, Splits
from stbench.errors import UserError
from stbench.evaluate.normals import Normals
from stbench.evaluate.sequences import SequenceWriter
from stbench.metrics import (
    MetricAccumulator,
    area_weights,
    check_against_skimage,
    frame_statistics,
    get_metric,
    latitude_weights,
    unavailable,
)
from stbench.metrics.ensembles import rank_histogram
from stbench.schema import Evaluation, Score
from stbench.schema.folder import RunFolder, write_with

if TYPE_CHECKING:
    from stbench.nn import Method
    from stbench.train.engine import Engine

SAMPLES = 4
CHECKED_BATCHES = 4
CHECKED_FRAMES = 16


@dataclass(frozen=True)
class Scores:
    """Result of a pass: scores by metric, number of clips, metrics not computed with the reason, and duration.

    ``rank_histogram`` counts the cells with 0 … M members below the truth; empty where there is one prediction.
    """

    metrics: dict[str, Score]
    clips: int
    unavailable: dict[str, str]
    skimage_difference: float | None
    seconds: float
    rank_histogram: tuple[int, ...] = ()


class Scorer:
    """Score predictions of methods on one split.

    Args:
        dataset: converts values to physical units.
        loader: loader of the split, not shuffled.
        evaluation: the metrics and their settings.
        data_range: peak of the data; None if the benchmark states none.
    """

    def __init__(
        self, dataset: Splits, loader: ClipLoader, evaluation: Evaluation, data_range: float | None, engine: Engine
    ) -> None:
        self.dataset = dataset
        self.loader = loader
        self.evaluation = evaluation
        self.data_range = data_range
        self.engine = engine

    def score(self, method: Method, folder: RunFolder | None = None) -> Scores:
        """Score the whole split; with a folder, also write ``per_sequence.parquet`` and ``samples.npz`` there."""
        method.eval()
        started = time.monotonic()
        missing = unavailable(self.evaluation.metrics, frame=method.shape.frame) | self._without_climatology()
        names = [name for name in self.evaluation.metrics if name not in missing]
        totals = MetricAccumulator(names, method.shape.t_out, self.data_range, device=self.engine.device)
        batches = self.loader.steps_per_epoch
        checked = set(np.linspace(0, batches - 1, CHECKED_BATCHES, dtype=int).tolist())
        samples = _Samples()
        worst: list[float] = []
        ranks: Tensor | int = 0
        with SequenceWriter(folder, names, self.engine) as sequences:
            for number, (indices, batch, times) in enumerate(self.loader.dated_epoch(0)):
                clip = self.engine.to_device(batch)
                past, future = clip[:, : method.shape.t_in], clip[:, method.shape.t_in :]
                pred, members = self.engine.predict_members(method, past, times)
                statistics = self._statistics(names, pred, future, times, members)
                if members is not None:
                    ranks = ranks + rank_histogram(members, future)
                totals.update(statistics)
                sequences.write(indices, statistics)
                samples.take(indices, past, future, pred)
                if number in checked and self.data_range is not None:
                    worst.append(
                        check_against_skimage(
                            pred, future, data_range=self.data_range, sample=CHECKED_FRAMES, seed=number
                        )
                    )
        state = self.engine.sum(totals.state())
        if folder is not None and self.engine.is_main:
            samples.save(folder)
        return Scores(
            metrics=totals.load(state).compute(),
            clips=int(state[-1, 0]),
            unavailable=missing,
            rank_histogram=self._summed(ranks),
            skimage_difference=max(worst, default=None),
            seconds=time.monotonic() - started,
        )

    def _statistics(
        self, names: Sequence[str], pred: Tensor, future: Tensor, times: Tensor | None, members: Tensor | None
    ) -> dict[str, tuple[Tensor, ...]]:
        given: dict[str, Any] = {} if members is None else {"members": members}
        if self.evaluation.latitudes is not None:
            degrees = torch.linspace(*self.evaluation.latitudes, pred.shape[-2], dtype=torch.float64)
            given |= {"row_weights": latitude_weights(degrees), "row_areas": area_weights(degrees)}
        if times is not None and any("normals" in get_metric(name).needs for name in names):
            given["normals"] = self._normals.at(times[:, -pred.shape[1] :]).to(pred.device)
        scaling = self.dataset.scaling
        return frame_statistics(names, pred, future, data_range=self.data_range, scaling=scaling, **given)

    def _summed(self, ranks: Tensor | int) -> tuple[int, ...]:
        return () if isinstance(ranks, int) else tuple(int(count) for count in self.engine.sum(ranks.to(float64)))

    @cached_property
    def _normals(self) -> Normals:
        return Normals(self.dataset, self.evaluation.batch_size)

    def _without_climatology(self) -> dict[str, str]:
        """The metrics that need a climatology, with the reason, where none can be made."""
        needy = [name for name in self.evaluation.metrics if "normals" in get_metric(name).needs]
        if not needy:
            return {}
        try:
            _ = self._normals
        except UserError as error:
            return dict.fromkeys(needy, str(error))
        return {}


class _Samples:
    """The first clips of the pass, which are the same for every method."""

    def __init__(self) -> None:
        self._kept: dict[str, list[Any]] = {"index": [], "past": [], "future": [], "prediction": []}

    def take(self, indices: Any, past: Tensor, future: Tensor, pred: Tensor) -> None:
        room = SAMPLES - len(self._kept["index"])
        for row in range(min(room, len(indices))):
            self._kept["index"].append(indices[row])
            for name, clip in (("past", past), ("future", future), ("prediction", pred)):
                self._kept[name].append(clip[row].float().cpu().numpy())

    def save(self, folder: RunFolder) -> None:
        arrays = {name: np.stack(values) for name, values in self._kept.items() if values}

        def write(path: Any) -> None:
            with path.open("wb") as handle:
                np.savez_compressed(handle, allow_pickle=False, **arrays)

        write_with(folder.file("samples.npz"), write)


def parameter_count(method: Method) -> int:
    """Return the number of trainable values."""
    return sum(p.numel() for p in method.parameters() if p.requires_grad)
