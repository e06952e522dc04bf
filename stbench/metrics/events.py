"""Event scores at thresholds: csi, pod, far, bias, f1, hss, ets and their variants.

Of the counts of hits H, misses M, false alarms F and correct negatives C of all frames (n cells in all). A score whose
denominator is 0 is undefined. Definitions: Jolliffe and Stephenson, Forecast Verification, 2nd ed. 2012, chapter 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from stbench.metrics.metric import ARGUMENT
from stbench.metrics.ratios import AboveThreshold, bound, number, ratio

if TYPE_CHECKING:
    from torch import Tensor

    from stbench.metrics.frames import Frames
    from stbench.schema import ClipShape, Evaluation

COUNTS = ("hits", "misses", "false_alarms", "correct_negatives")
_POOLED = "counts of all frames summed, then the ratio"
_LEAD = "counts of each lead time summed, then the ratio; mean of lead times, undefined where one is"
_REFERENCE = "Jolliffe & Stephenson 2012"


def ets(hits: Any, misses: Any, false_alarms: Any, correct_negatives: Any) -> Any:
    """Return (H − r) / (H + M + F − r) with random hits r = (H+M)(H+F)/n."""
    cells = hits + misses + false_alarms + correct_negatives
    by_chance = ratio((hits + misses) * (hits + false_alarms), cells)
    return ratio(hits - by_chance, hits + misses + false_alarms - by_chance)


def hss(hits: Any, misses: Any, false_alarms: Any, correct_negatives: Any) -> Any:
    """Return Heidke's skill score: 2 (HC − MF) / ((H+M)(M+C) + (H+F)(F+C))."""
    below = (hits + misses) * (misses + correct_negatives) + (hits + false_alarms) * (false_alarms + correct_negatives)
    return ratio(2 * (hits * correct_negatives - misses * false_alarms), below)


@dataclass(frozen=True)
class Kind:
    """A score of the four counts: formula, direction, and its function of the counts in ``parts``."""

    formula: str
    parts: tuple[str, ...]
    score: Callable[..., Any]
    lower_is_better: bool = False
    best: float | None = None


KINDS = {
    "csi": Kind("H / (H+M+F)", COUNTS[:3], lambda h, m, f: ratio(h, h + m + f)),
    "pod": Kind("H / (H+M)", COUNTS[:2], lambda h, m: ratio(h, h + m)),
    "far": Kind("F / (H+F)", (COUNTS[0], COUNTS[2]), lambda h, f: ratio(f, h + f), lower_is_better=True),
    "sucr": Kind("H / (H+F)", (COUNTS[0], COUNTS[2]), lambda h, f: ratio(h, h + f)),
    "pofd": Kind("F / (F+C)", COUNTS[2:], lambda f, c: ratio(f, f + c), lower_is_better=True),
    "bias": Kind("(H+F) / (H+M)", COUNTS[:3], lambda h, m, f: ratio(h + f, h + m), best=1.0),
    "f1": Kind("2H / (2H+M+F)", COUNTS[:3], lambda h, m, f: ratio(2 * h, 2 * h + m + f)),
    "hss": Kind("2(HC−MF) / ((H+M)(M+C)+(H+F)(F+C))", COUNTS, hss),
    "ets": Kind("(H−r) / (H+M+F−r), r = (H+M)(H+F)/n", COUNTS, ets),
}


@dataclass(frozen=True, kw_only=True)
class EventScore(AboveThreshold):
    """One score at one threshold; ``pool``: side of blocks in cells, of which the largest value counts."""

    kind: str
    pool: int = 1

    def statistics(self, frames: Frames) -> tuple[Tensor, ...]:
        """Return the counts of the score."""
        return counts_of(frames, self.kind, self.threshold, self.pool)

    def finish(self, means: Sequence[Any]) -> Any:
        """Return the score of the counts."""
        return KINDS[self.kind].score(*means)

    def unavailable(self, frame: tuple[int, int, int]) -> str | None:
        """Return the reason if frames are smaller than a block, else None."""
        return too_small(frame, self.pool)


@dataclass(frozen=True, kw_only=True)
class MeanOverThresholds(EventScore):
    """Mean of one score over all thresholds; undefined if the score is undefined at one of them."""

    argument: str = "THRESHOLD/THRESHOLD/…"
    levels: tuple[float, ...] = ()

    def columns(self, evaluation: Evaluation, shape: ClipShape) -> tuple[str, ...]:  # noqa: ARG002 - any shape
        """Return one column for all thresholds."""
        return (f"{self.name}{ARGUMENT}{'/'.join(f'{value:g}' for value in self.stated(evaluation))}",)

    def with_argument(self, text: str) -> Self:
        """Return the mean over the thresholds in the text, separated by ``/``.

        Raises:
            UserError: one of them is not a number.
        """
        levels = tuple(number(self.name, part) for part in text.split("/"))
        shown = [f"{level:g}" for level in levels]
        parts = tuple(f"{part}_{level}" for level in shown for part in KINDS[self.kind].parts)
        found: Self = bound(self, "/".join(shown), levels=levels, parts=parts)
        return found

    def statistics(self, frames: Frames) -> tuple[Tensor, ...]:
        """Return the counts at every threshold."""
        return tuple(part for level in self.levels for part in counts_of(frames, self.kind, level, self.pool))

    def finish(self, means: Sequence[Any]) -> Any:
        """Return the mean of the scores at the thresholds."""
        size = len(KINDS[self.kind].parts)
        scores = [KINDS[self.kind].score(*means[i : i + size]) for i in range(0, len(means), size)]
        return sum(scores[1:], start=scores[0]) / len(scores)


def counts_of(frames: Frames, kind: str, threshold: float, pool: int) -> tuple[Tensor, ...]:
    """Return the counts for a kind of score, (B, T) each."""
    from stbench.metrics.contingency import count_events

    counts = count_events(frames, threshold, pool)
    return tuple(getattr(counts, part) for part in KINDS[kind].parts)


def too_small(frame: tuple[int, int, int], pool: int) -> str | None:
    """Return the reason why frames (C, H, W) cannot be pooled in blocks, or None."""
    height, width = frame[1:]
    return f"blocks of {pool}×{pool} cells do not fit frames of {height}×{width}" if pool > min(height, width) else None


def _score(kind: str, *, pool: int = 1, mean: bool = False, by_lead_time: bool = False) -> EventScore:
    of = KINDS[kind]
    ending = f"{'_m' if mean else ''}{f'_pool{pool}' if pool > 1 else ''}{'_lead' if by_lead_time else ''}"
    blocks = f" of the largest values in blocks of {pool}×{pool} cells" if pool > 1 else ""
    thresholds = "; mean over thresholds" if mean else ""
    make = MeanOverThresholds if mean else EventScore
    return make(
        name=f"{kind}{ending}",
        formula=f"{of.formula}{blocks}, event: value ≥ threshold{thresholds}; {_LEAD if by_lead_time else _POOLED}",
        unit="",
        lower_is_better=of.lower_is_better,
        best=of.best,
        reference=_REFERENCE,
        parts=of.parts,
        by_lead_time=by_lead_time,
        kind=kind,
        pool=pool,
    )


CSI, CSI_LEAD = _score("csi"), _score("csi", by_lead_time=True)
CSI_M, CSI_M_LEAD = _score("csi", mean=True), _score("csi", mean=True, by_lead_time=True)
CSI_POOL4, CSI_POOL16 = _score("csi", pool=4), _score("csi", pool=16)
CSI_M_POOL4, CSI_M_POOL16 = _score("csi", pool=4, mean=True), _score("csi", pool=16, mean=True)
POD, POD_LEAD = _score("pod"), _score("pod", by_lead_time=True)
FAR, FAR_LEAD = _score("far"), _score("far", by_lead_time=True)
SUCR, POFD = _score("sucr"), _score("pofd")
BIAS, BIAS_LEAD = _score("bias"), _score("bias", by_lead_time=True)
F1, F1_LEAD = _score("f1"), _score("f1", by_lead_time=True)
HSS, HSS_LEAD = _score("hss"), _score("hss", by_lead_time=True)
HSS_M = _score("hss", mean=True)
ETS, ETS_LEAD = _score("ets"), _score("ets", by_lead_time=True)
