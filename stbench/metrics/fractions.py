"""Fractions skill score (Roberts and Lean, Monthly Weather Review 136, 2008, eq. 6).

Axes: B sequences, T lead times, C, H, W.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from stbench.errors import UserError
from stbench.metrics.metric import ARGUMENT
from stbench.metrics.ratios import AboveThreshold, bound, number, ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from stbench.metrics.frames import Frames
    from stbench.schema import ClipShape, Evaluation

WINDOWS = (5,)
"""Default sides of the neighbourhood, in cells."""


@dataclass(frozen=True, kw_only=True)
class FractionsSkillScore(AboveThreshold):
    """1 − Σ(P−O)² / Σ(P²+O²) of the fractions of events in the window around each cell.

    Outside the frame there are no events (zero padding). A cell without a true value counts as no event in both
    fields, and no window is centred on it.
    """

    argument: str = "THRESHOLDwWINDOW"
    window: int = 0

    def columns(self, evaluation: Evaluation, shape: ClipShape) -> tuple[str, ...]:  # noqa: ARG002 - any shape
        """Return one column for each threshold and window."""
        windows = evaluation.windows or WINDOWS
        return tuple(f"{self.name}{ARGUMENT}{t:g}w{w}" for t in self.stated(evaluation) for w in windows)

    def with_argument(self, text: str) -> Self:
        """Return the score at a threshold in a window, as ``5w3``.

        Raises:
            UserError: the threshold is not a number, or the window is not odd and positive.
        """
        threshold, _, side = text.partition("w")
        if not side.isdigit() or int(side) % 2 == 0:
            raise UserError(
                f"The metric {self.name}{ARGUMENT}{text}: expected a threshold, w and an odd window in cells, "
                f"as {self.name}{ARGUMENT}5w3."
            )
        value = number(self.name, threshold)
        found: Self = bound(self, f"{value:g}w{int(side)}", threshold=value, window=int(side))
        return found

    def statistics(self, frames: Frames) -> tuple[Tensor, ...]:
        """Return sums over cells of the squared differences and of the squares of the fractions, (B, T) each."""
        from torch import float64

        from stbench.metrics.contingency import at_least

        level = frames.in_model_space(self.threshold)
        pred, true = (self._events_around(at_least(x, level), frames) for x in (frames.pred_BTCHW, frames.true_BTCHW))
        difference, squares = (
            x.flatten(2).sum(-1, dtype=float64) / self.window**4 + frames.undefined
            for x in ((pred - true).square(), pred.square() + true.square())
        )
        return difference, squares

    def _events_around(self, events: Tensor, frames: Frames) -> Tensor:
        """Numbers of events in the windows, exact in float32: sums along rows, then along columns."""
        from torch.nn.functional import pad

        if frames.known is not None:
            events = events & frames.known
        found = pad(events.float(), [self.window // 2] * 4)
        for axis, size in ((-1, events.shape[-1]), (-2, events.shape[-2])):
            sums = found.narrow(axis, 0, size).clone()
            for shift in range(1, self.window):
                sums += found.narrow(axis, shift, size)
            found = sums
        return frames.over_known(found)

    def finish(self, means: Sequence[Any]) -> Any:
        """Return 1 minus the ratio; undefined if neither field has an event."""
        return 1 - ratio(means[0], means[1])


FSS = FractionsSkillScore(
    name="fss",
    formula="1 − Σ(P−O)² / Σ(P²+O²), P and O the fraction of events (value ≥ threshold) in the window around each "
    "cell, zeros outside; sums over all frames, then the ratio",
    unit="",
    lower_is_better=False,
    reference="Roberts & Lean 2008",
    parts=("difference", "squares"),
)
