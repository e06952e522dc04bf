"""Radially averaged power spectra of predicted and true frames, which show the scales at which detail is lost.

Ring k contains the frequencies of k cycles per length of the frame's longer side, rounded; the power of a ring is the
mean of |FFT|² / (H·W) over it (Pulkkinen et al., pySTEPS, GMD 2019). Axes: B, T, C, H, W, K rings.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

from stbench.errors import UserError
from stbench.metrics.metric import ARGUMENT, Metric
from stbench.metrics.ratios import bound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from stbench.metrics.frames import Frames
    from stbench.schema import ClipShape, Evaluation

MOST_RINGS = 32
"""Default maximum number of rings, because statistics are stored for each sequence and lead time."""


def ring_power(x_BTCHW: Tensor, rings: int) -> Tensor:
    """Return the power of rings 0 … ``rings``, averaged over channels: (B, T, C, H, W) -> (B, T, K+1) float64."""
    import torch

    height, width = x_BTCHW.shape[-2:]
    waves = torch.fft.rfft2(x_BTCHW.float())
    power = waves.real.square() + waves.imag.square()  # abs() would take a root first
    members = _rings(height, width, rings).to(x_BTCHW.device)
    found: Tensor = (power.flatten(3).mean(2).double() @ members) / (height * width)
    return found


@lru_cache(maxsize=8)
def _rings(height: int, width: int, rings: int) -> Tensor:
    """Return weights (F, K+1) that average the half spectrum of a real frame over each ring."""
    import torch

    rows = torch.fft.fftfreq(height, dtype=torch.float64)[:, None]
    columns = torch.fft.rfftfreq(width, dtype=torch.float64)
    ring = ((rows.square() + columns.square()).sqrt() * max(height, width)).round().flatten()
    twice = torch.full((width // 2 + 1,), 2.0, dtype=torch.float64)
    twice[0] = 1
    if width % 2 == 0:
        twice[-1] = 1
    weights = (ring[:, None] == torch.arange(rings + 1)) * twice.repeat(height)[:, None]
    found: Tensor = weights / weights.sum(0)
    return found


@dataclass(frozen=True, kw_only=True)
class LogSpectralDistance(Metric):
    """Root mean square over rings of the ratio of powers in decibels; spectra are averaged over frames first."""

    argument: str = "RINGS"
    rings: int = 0

    def columns(self, evaluation: Evaluation, shape: ClipShape) -> tuple[str, ...]:  # noqa: ARG002 - by shape alone
        """Return one column with all rings below the highest frequency, at most a few dozen."""
        return (f"{self.name}{ARGUMENT}{min(most_rings(shape.height, shape.width), MOST_RINGS)}",)

    def with_argument(self, text: str) -> Self:
        """Return the distance over rings 1 … K.

        Raises:
            UserError: K is not a positive integer.
        """
        if not text.isdigit() or int(text) < 1:
            raise UserError(f"The metric {self.name}{ARGUMENT}{text}: expected a number of rings, as {self.name}@16.")
        rings = int(text)
        parts = tuple(f"{which}_{k}" for which in ("predicted", "observed") for k in range(1, rings + 1))
        found: Self = bound(self, str(rings), rings=rings, parts=parts)
        return found

    def statistics(self, frames: Frames) -> tuple[Tensor, ...]:
        """Return the power of each ring of the predicted frame, then of the true frame."""
        powers = [ring_power(x, self.rings)[..., 1:] for x in (frames.pred_BTCHW, frames.true_BTCHW)]
        return tuple(part for power in powers for part in power.unbind(-1))

    def finish(self, means: Sequence[Any]) -> Any:
        """Return √ of the mean over rings of (10 log10 of the ratio)²; undefined if a ring has no power."""
        log10 = _log10(means[0])
        squares = []
        for pred, true in zip(means[: self.rings], means[self.rings :], strict=True):
            both = pred * true
            squares.append((10 * log10(pred / true) * (both / both)) ** 2)
        return (sum(squares[1:], start=squares[0]) / self.rings) ** 0.5

    def unavailable(self, frame: tuple[int, int, int]) -> str | None:
        """Return the reason if frames have fewer rings, else None."""
        most = most_rings(*frame[1:])
        return f"frames of {frame[1]}×{frame[2]} have {most} rings, not {self.rings}" if self.rings > most else None


def most_rings(height: int, width: int) -> int:
    """Return the number of rings below the highest frequency of frames of this size, without the mean (ring 0)."""
    return max(1, (max(height, width) + 1) // 2 - 1)


def _log10(like: Any) -> Any:
    import numpy as np

    return np.log10 if isinstance(like, np.ndarray | np.floating) else lambda x: x.log10()


LSD = LogSpectralDistance(
    name="lsd",
    formula="√ of the mean over rings k = 1…K of (10·log10 Pŷ(k)/Py(k))², P the radially averaged power spectrum; "
    "spectra averaged over all frames, then the distance",
    unit="dB",
    reference="Pulkkinen et al. 2019 (spectrum)",
)
