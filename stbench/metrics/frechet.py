"""Fréchet distances between the features of predicted and true frames or clips.

A distance is of two sets, so it has no value per frame or lead time: means and covariances are summed over the whole
test split. It grows as the number of samples falls; compare only tables with equal numbers. Axes: B clips, T time, N
samples, D features.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stbench.metrics.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor

    from stbench.metrics.frames import Frames

FEWEST_FRAMES = 10
"""Frames of a clip that the video network's strides need."""


@dataclass(frozen=True, kw_only=True)
class FrechetDistance(Metric):
    """‖μ1−μ2‖² + tr(Σ1+Σ2−2(Σ1Σ2)^½) of ``width`` features."""

    width: int
    samples: str = "frames"

    @property
    def averaging(self) -> str:
        """The order of averaging, for people."""
        return f"means and covariances of all {self.samples}, one distance"

    @abstractmethod
    def features(self, x_BTCHW: Tensor, peak: float) -> Tensor:
        """Return the features of each frame or clip, (N, D)."""

    def statistics(self, frames: Frames) -> Tensor:
        """Return NaN: a distance of sets has no value of a frame (:class:`stbench.metrics.moments.Moments`)."""
        return frames.pred_BTCHW.new_full(frames.pred_BTCHW.shape[:2], float("nan"))

    def why_too_short(self, t_out: int) -> str | None:  # noqa: ARG002 - frames stand alone
        """Return the reason why a horizon of this many frames is too short, or None."""
        return None


@dataclass(frozen=True, kw_only=True)
class OfTrunk(FrechetDistance):
    """Of the last layer of an LPIPS trunk, averaged over each frame."""

    net: str

    def features(self, x_BTCHW: Tensor, peak: float) -> Tensor:
        """Return the features of each frame, (B·T, D)."""
        from stbench.metrics.perceptual import trunk_features

        return trunk_features(self.net, x_BTCHW.flatten(0, 1), peak)

    def unavailable(self, frame: tuple[int, int, int]) -> str | None:
        """Return the reason: frames are neither grey nor RGB or too small, or the trunk's weights are missing."""
        from stbench.metrics.perceptual import why_unavailable

        return why_unavailable(self.net, frame)


@dataclass(frozen=True, kw_only=True)
class OfVideos(FrechetDistance):
    """Of the outputs of a video network, one sample for each predicted clip."""

    samples: str = "clips"

    def features(self, x_BTCHW: Tensor, peak: float) -> Tensor:
        """Return the features of each clip, (B, D)."""
        from stbench.metrics.video_network import video_features

        return video_features(x_BTCHW, peak)

    def unavailable(self, frame: tuple[int, int, int]) -> str | None:
        """Return the reason: frames are neither grey nor RGB, or the network's weights are missing."""
        from stbench.metrics.video_network import why_unavailable

        return why_unavailable(frame[0])

    def why_too_short(self, t_out: int) -> str | None:
        """Return the reason why a horizon of this many frames is too short, or None."""
        return None if t_out >= FEWEST_FRAMES else f"it needs {FEWEST_FRAMES} predicted frames, these are {t_out}"


_DISTANCE = "‖μ1−μ2‖² + tr(Σ1+Σ2−2(Σ1Σ2)^½), covariances with n−1"
_SETS = "one distance of the whole test split, biased by its size"
FD_LPIPS_ALEX = OfTrunk(
    name="fd_lpips_alex",
    formula=f"{_DISTANCE}, of the 256 spatial means of the last layer of LPIPS's AlexNet trunk, frame by frame; "
    f"{_SETS}; not comparable with FVD",
    unit="",
    reference="Heusel et al. 2017 (distance), Zhang et al. 2018 (trunk)",
    needs=frozenset({"data_range"}),
    clips=True,
    width=256,
    net="alex",
)
FVD = OfVideos(
    name="fvd",
    formula=f"{_DISTANCE}, of the 400 outputs of I3D (Kinetics-400, i3d_torchscript.pt, sha256 bec6519f…) on predicted "
    f"frames alone, resized to 224×224 in [-1, 1]; {_SETS}",
    unit="",
    reference="Unterthiner et al. 2018; weights of Skorokhodov et al. 2022 (StyleGAN-V)",
    needs=frozenset({"data_range"}),
    clips=True,
    width=400,
)
