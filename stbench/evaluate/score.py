"""Scoring of a split in one pass: totals, values per sequence and lead time, sample clips, a check by scikit-image.

Axes: B, T, C, H, W.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, float64

from stbench.data import ClipLoader, Splits
from stbench.errors import UserError
from stbench.evaluate.distances import Distances, too_short
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
    with_companions,
)
from stbench.metrics.ensembles import rank_histogram
from stbench.nn.missing import fill_past
from stbench.schema import Evaluation, Score
from stbench.schema.folder import RunFolder, write_with

if TYPE_CHECKING:
    from stbench.nn import Method
    from stbench.train.engine import Engine

SAMPLES = 4
CHECKED_BATCHES = 4
CHECKED_FRAMES = 16
ROUNDING = 1e-6
"""Share of the data range by which float32 scaling may move a true value out of it."""


class NotFiniteError(RuntimeError):
    """A prediction holds NaN or infinite values, or a score is NaN: the run has no numbers."""


@dataclass(frozen=True)
class Scores:
    """Result of a pass: scores by metric, number of clips, metrics not computed with the reason, and duration.

    ``rank_histogram`` counts the cells with 0 … M members below the truth; empty where there is one prediction.
    ``outside`` is the share of true values outside [0, data_range], which some metrics clip. ``missing`` is the share
    of true values that are missing and left out; None where the data lack none.
    """

    metrics: dict[str, Score]
    clips: int
    unavailable: dict[str, str]
    outside: float
    skimage_difference: float | None
    seconds: float
    rank_histogram: tuple[int, ...] = ()
    missing: float | None = None


class Scorer:
    """Score predictions of methods on one split.

    Args:
        dataset: converts values to physical units.
        loader: loader of the split, not shuffled.
        evaluation: the metrics and their settings.
        data_range: peak of the data; None if the benchmark states none.
        clip_truth: keep metrics that clip true values beyond the data range, as published tables do. By default they
            are left out, with the reason.
    """

    def __init__(
        self,
        dataset: Splits,
        loader: ClipLoader,
        evaluation: Evaluation,
        data_range: float | None,
        engine: Engine,
        *,
        clip_truth: bool = False,
    ) -> None:
        self.dataset = dataset
        self.loader = loader
        self.evaluation = evaluation
        self.data_range = data_range
        self.engine = engine
        self.clip_truth = clip_truth

    def score(self, method: Method, folder: RunFolder | None = None) -> Scores:
        """Score the whole split; with a folder, also write the values per sequence and ``samples.npz`` there.

        Raises:
            NotFiniteError: a prediction or a true frame holds NaN or infinite values, or a score is NaN. In data that
                lack values, NaN in a true frame is a missing cell.
        """
        method.eval()
        started = time.monotonic()
        listed = with_companions(self.evaluation.listed)
        missing = unavailable(listed, frame=method.shape.frame) | self._without_climatology() | self._incomplete(listed)
        missing |= too_short(listed, method.shape.t_out)
        names = [name for name in listed if name not in missing]
        totals = MetricAccumulator(names, method.shape.t_out, self.data_range, device=self.engine.device)
        batches = self.loader.steps_per_epoch
        checked = set(np.linspace(0, batches - 1, CHECKED_BATCHES, dtype=int).tolist())
        samples = _Samples()
        distances = Distances(names, method.shape.t_out, self.data_range, self.engine)
        values = _Values(self.data_range, self.engine, incomplete=self.dataset.incomplete)
        worst: list[float] = []
        ranks: Tensor | int = 0
        with SequenceWriter(folder, names, self.engine) as sequences:
            for number, (indices, batch, times) in enumerate(self.loader.dated_epoch(0)):
                clip = self.engine.to_device(batch)
                past, future = clip[:, : method.shape.t_in], clip[:, method.shape.t_in :]
                scored = None
                if self.dataset.incomplete:
                    past, scored = fill_past(past), (~future.isnan()).flatten(2).any(-1)
                pred, members = self.engine.predict_members(method, past, times)
                statistics = self._statistics(names, pred, future, times, members)
                if members is not None:
                    ranks = ranks + rank_histogram(members, future)
                totals.update(statistics, scored)
                distances.update(pred, future)
                sequences.write(indices, statistics, scored)
                samples.take(indices, past, future, pred)
                values.look(pred, future)
                if number in checked and self.data_range is not None:
                    worst.append(
                        check_against_skimage(
                            *_whole(pred, future, incomplete=self.dataset.incomplete),
                            data_range=self.data_range,
                            sample=CHECKED_FRAMES,
                            seed=number,
                        )
                    )
            seen = values.check()
            state = self.engine.sum(totals.state())
            found, impossible = distances.finish()
            scores = totals.load(state).compute() | found
            missing |= impossible
            missing |= self._hidden(names, seen.outside)
            scores = {name: score for name, score in scores.items() if name not in missing}
            _refuse_nan(scores)
            sequences.leave_out(set(names) & set(missing))
        if folder is not None and self.engine.is_main:
            samples.save(folder)
        return Scores(
            metrics=scores,
            clips=seen.clips,
            unavailable=missing,
            rank_histogram=self._summed(ranks),
            outside=seen.outside,
            missing=seen.missing if self.dataset.incomplete else None,
            skimage_difference=max(worst, default=None),
            seconds=time.monotonic() - started,
        )

    def _hidden(self, names: Sequence[str], outside: float) -> dict[str, str]:
        """Metrics that would hide errors by clipping the truth, with the reason."""
        if not outside or self.clip_truth:
            return {}
        reason = (
            f"{100 * outside:.3g} % of the true test values lie outside [0, {self.data_range:g}], the range of the "
            "training data, and it would clip them"
        )
        return {name: reason for name in names if get_metric(name).clips}

    def _incomplete(self, names: Sequence[str]) -> dict[str, str]:
        """Metrics that need every cell of a frame, with the reason, where the data lack values."""
        reason = "the data lack values, and it needs every cell of a frame"
        needy = [name for name in names if not get_metric(name).leaves_out_missing]
        return dict.fromkeys(needy, reason) if self.dataset.incomplete else {}

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
        needy = [name for name in self.evaluation.listed if "normals" in get_metric(name).needs]
        if not needy:
            return {}
        try:
            _ = self._normals
        except UserError as error:
            return dict.fromkeys(needy, str(error))
        return {}


def _refuse_nan(scores: Mapping[str, Score]) -> None:
    """Raise :class:`NotFiniteError` for an error or similarity that is NaN; other metrics may be undefined."""
    undefined = [get_metric(name) for name, score in scores.items() if score.total != score.total]
    wrong = [
        metric.name
        for metric in undefined
        if metric.reduction != "parts" and (metric.shared or "physical" in metric.needs)
    ]
    if wrong:
        raise NotFiniteError(f"{', '.join(wrong)} of the test split {'is' if len(wrong) == 1 else 'are'} NaN")


def _whole(pred: Tensor, true: Tensor, *, incomplete: bool) -> tuple[Tensor, Tensor]:
    """Return the pair of frames, both 0 where the truth is missing."""
    if not incomplete:
        return pred, true
    return pred.where(~true.isnan(), 0.0), true.nan_to_num(0.0)


class _Seen(NamedTuple):
    """Clips of a pass, and the shares of true values that are missing, and of the others outside the data range."""

    clips: int
    missing: float
    outside: float


class _Values:
    """What all values of a pass say about it: clips that are not finite, true values outside the data range."""

    def __init__(self, data_range: float | None, engine: Engine, *, incomplete: bool) -> None:
        self._range, self._engine, self._incomplete = data_range, engine, incomplete
        self._counts = torch.zeros(6, dtype=torch.float64, device=engine.device)
        """Clips, those whose prediction and whose truth are not finite, true values, those outside the range, those
        that are missing."""

    def look(self, pred: Tensor, true: Tensor) -> None:
        """Count one batch."""
        missing = true.isnan() if self._incomplete else torch.zeros((), dtype=torch.bool, device=true.device)
        bad = [(~x).flatten(1).any(1).sum() for x in (pred.isfinite(), true.isfinite() | missing)]
        outside = torch.zeros((), device=true.device)
        if self._range is not None:
            slack = ROUNDING * self._range
            outside = ((true < -slack) | (true > self._range + slack)).sum()
        counts = [len(pred), *bad, true.numel(), outside, missing.sum()]
        self._counts += torch.stack([torch.as_tensor(count, device=self._counts.device) for count in counts])

    def check(self) -> _Seen:
        """What was seen, over all processes.

        Raises:
            NotFiniteError: a clip of some process is not finite.
        """
        clips, bad_pred, bad_true, values, outside, missing = self._engine.sum(self._counts).tolist()
        for what, bad in (("true frames", bad_true), ("prediction", bad_pred)):
            if bad:
                raise NotFiniteError(f"the {what} of {bad:.0f} of {clips:.0f} test clips hold NaN or infinite values")
        return _Seen(round(clips), missing / max(values, 1), outside / max(values - missing, 1))


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
