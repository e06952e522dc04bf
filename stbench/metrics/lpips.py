"""LPIPS metrics (Zhang et al., CVPR 2018), one per trunk; the network is in ``perceptual.py``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stbench.metrics.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor

    from stbench.metrics.frames import Frames


@dataclass(frozen=True, kw_only=True)
class Perceptual(Metric):
    """Mean perceptual distance of frames with one trunk."""

    net: str

    def statistics(self, frames: Frames) -> Tensor:
        """Return the distance of each pair of frames."""
        from stbench.metrics.perceptual import lpips_frames

        pred_FCHW, true_FCHW = frames.pred_BTCHW.flatten(0, 1), frames.true_BTCHW.flatten(0, 1)
        return lpips_frames(self.net, pred_FCHW, true_FCHW, frames.peak).view(frames.pred_BTCHW.shape[:2])

    def unavailable(self, frame: tuple[int, int, int]) -> str | None:
        """Return the reason: frames are neither grey nor RGB or too small, or the trunk's weights are missing."""
        from stbench.metrics.perceptual import why_unavailable

        return why_unavailable(self.net, frame)


def _with_trunk(net: str, trunk: str) -> Perceptual:
    return Perceptual(
        name=f"lpips_{net}",
        formula=f"learned perceptual distance v0.1, {trunk} trunk, frames in [-1, 1], grey as three channels; "
        "mean of frames",
        unit="",
        reference="Zhang et al. 2018",
        needs=frozenset({"data_range"}),
        clips=True,
        net=net,
    )


LPIPS_ALEX = _with_trunk("alex", "AlexNet")
LPIPS_VGG = _with_trunk("vgg", "VGG-16")
LPIPS_SQUEEZE = _with_trunk("squeeze", "SqueezeNet 1.1")
