"""Climatology: the mean training frame at the same time of day, the no-skill baseline of forecasting.

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
    """How training frames are grouped before they are averaged.

    ``groups``: "weekday_time_of_day" separates working days from weekends (traffic), "time_of_day" does not
    (weather), "mean" averages all frames. ``slots``: number of parts of the day.
    """

    groups: Grouping = "weekday_time_of_day"
    slots: Slots = 48


class Climatology(Method):
    """Predict each future frame as the mean of the training frames of its group.

    Without time stamps, or for a group without training frames, it is the mean of all training frames. Missing cells
    do not count; a cell without any value gets the mean of its channel. Predictions are NaN until :meth:`fit` or
    :meth:`fit_at` is called.
    """

    Config = ClimatologyConfig
    config: ClimatologyConfig
    summary = "mean training frame; by time of day and weekday or weekend if the data have dates"
    leaves_out_missing = True
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
        """Measure the means over batches (B, T, C, H, W) and their times in one pass, summed in float64."""
        sums_SCHW = torch.zeros(self.means.shape, dtype=torch.float64, device=self.means.device)
        counts = torch.zeros(len(self.means), 1, 1, 1, dtype=torch.float64, device=self.means.device)
        for clip, times in batches:
            frames = clip.to(self.means.device, torch.float64).flatten(0, 1)
            group = torch.zeros(len(frames), dtype=torch.int64) if times is None else self.group(times).flatten()
            group = group.to(self.means.device)
            known = ~frames.isnan()
            if bool(known.all()):
                counts = counts + group.bincount(minlength=len(counts)).view(-1, 1, 1, 1)
            else:  # from now on every cell has a count of its own
                counts = counts.expand(self.means.shape).index_add(0, group, known.double())
            sums_SCHW.index_add_(0, group, frames.where(known, 0))
        self.means.copy_(sums_SCHW.sum(dim=0) / counts.sum(dim=0))
        seen = (counts > 0).expand(self.means.shape).clone()
        seen[0] = False  # row 0 holds the mean of all frames, not only of those without a time
        self.means.copy_(torch.where(seen, (sums_SCHW / counts).to(self.means.dtype), self.means))
        if bool(self.means[0].isnan().any()):  # cells without any value
            self.means.copy_(self.means.where(~self.means.isnan(), self.means[0].nanmean((-2, -1), keepdim=True)))

    def group(self, times: Times) -> Tensor:
        """Return the row of :attr:`means` for each time (int64 seconds since 1970-01-01 00:00, any shape)."""
        return group_of(times, self.config.groups, self.config.slots)

    def forward(self, past: Tensor) -> Tensor:
        """Return the mean of all training frames: (B, T_in, C, H, W) -> (B, T_out, C, H, W)."""
        self.check_past(past)
        return self.means[0].to(past.dtype).repeat(past.shape[0], self.shape.t_out, 1, 1, 1)

    def predict_at(self, past: Tensor, times: Times | None) -> Tensor:
        """Return the mean of each future frame's group; without ``times``, the same as :meth:`forward`."""
        if times is None:
            return self(past)  # type: ignore[no-any-return]
        self.check_past(past)
        return self.means[self.group(times[:, self.shape.t_in :])].to(past.dtype)
