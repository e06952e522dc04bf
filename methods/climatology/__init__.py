"""Climatology: the training data's mean frame at the same time of day; the no-skill baseline of forecasting.

Axes: B batch, T time, C channels, H height, W width, S groups of frames.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from stbench.nn import Method, MethodConfig, Times
from stbench.nn.calendar import Grouping, Slots, count_groups, group_of
from stbench.schema import ClipShape


class ClimatologyConfig(MethodConfig):
    """What a frame is compared with.

    ``groups``: "weekday_time_of_day" keeps working days and weekends apart, which is right for traffic;
    "time_of_day" does not, which is enough for weather; "mean" is one mean of everything. ``slots``: parts of the day.
    """

    groups: Grouping = "weekday_time_of_day"
    slots: Slots = 48


class Climatology(Method):
    """Each future frame is the mean of the training frames of its group, which :meth:`fit_at` measures.

    Without time stamps, and for a group that training never saw, it is the mean of all training frames. Not-a-number
    until it is fitted.
    """

    Config = ClimatologyConfig
    config: ClimatologyConfig
    summary = "the training set's mean frame, by time of day and weekday or weekend where the data have dates"
    presets = {
        "paper": {
            "moving_images": {"config": {"groups": "mean"}},  # the clips have no dates
            "video": {"config": {"groups": "mean"}},
            "weather": {"config": {"groups": "time_of_day"}},  # weather knows no weekends
        },
    }
    means: Tensor
    """(S, C, H, W): the mean of all frames, then of each group."""

    def __init__(self, shape: ClipShape, config: ClimatologyConfig) -> None:
        super().__init__(shape, config)
        groups = count_groups(config.groups, config.slots)
        self.register_buffer("means", torch.full((1 + groups, *shape.frame), torch.nan))

    def fit(self, clips: Iterable[Tensor]) -> None:
        """Measure the mean over batches (B, T, C, H, W); every frame of a clip counts."""
        self.fit_at((clip, None) for clip in clips)

    def fit_at(self, batches: Iterable[tuple[Tensor, Times | None]]) -> None:
        """Measure the means over batches (B, T, C, H, W) and their times, summed in float64, in one pass."""
        sums_SCHW = torch.zeros(self.means.shape, dtype=torch.float64, device=self.means.device)
        counts_S = torch.zeros(len(self.means), dtype=torch.float64, device=self.means.device)
        for clip, times in batches:
            frames = clip.to(self.means.device, torch.float64).flatten(0, 1)
            group = torch.zeros(len(frames), dtype=torch.int64) if times is None else self.group(times).flatten()
            group = group.to(self.means.device)
            sums_SCHW.index_add_(0, group, frames)
            counts_S += group.bincount(minlength=len(counts_S))
        self.means.copy_(sums_SCHW.sum(dim=0) / counts_S.sum())
        seen = counts_S > 0
        seen[0] = False  # group 0 gathered the frames without a time; its mean is that of all frames
        self.means[seen] = (sums_SCHW[seen] / counts_S[seen, None, None, None]).to(self.means.dtype)

    def group(self, times: Times) -> Tensor:
        """Row of :attr:`means` for each time: int64 minutes since 1970-01-01 00:00, any shape."""
        return group_of(times, self.config.groups, self.config.slots)

    def forward(self, past: Tensor) -> Tensor:
        """The mean of all training frames: (B, T_in, C, H, W) -> (B, T_out, C, H, W)."""
        self.check_past(past)
        return self.means[0].to(past.dtype).repeat(past.shape[0], self.shape.t_out, 1, 1, 1)

    def predict_at(self, past: Tensor, times: Times | None) -> Tensor:
        """The mean of each future frame's group; ``times`` None is :meth:`forward`."""
        if times is None:
            return self(past)  # type: ignore[no-any-return]
        self.check_past(past)
        return self.means[self.group(times[:, self.shape.t_in :])].to(past.dtype)
