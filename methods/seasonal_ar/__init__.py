"""Seasonal autoregression: each pixel's future is linear in its own past, around a mean by time of day.

With x the T_in past and y the T_out future values of one pixel and channel, and g the group of the last past frame
(part of the day, working day or weekend), y = ȳ_g + A·(x − x̄_g): the least-squares fit with one intercept per group,
which is linear regression with seasonal dummies (Hyndman and Athanasopoulos, "Forecasting: Principles and Practice",
3rd ed., §7.4 and §10). Axes: B, T, C, H, W, P = C·H·W pixels, L = T_in+T_out, G groups.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from stbench.nn import Method, MethodConfig, Times
from stbench.nn.calendar import Grouping, Slots, count_groups, group_of
from stbench.schema import Benchmark, ClipShape

LARGEST = 1 << 26
"""Maximum number of intercept values (256 MiB); larger frames use a single group."""
TINY = 1e-12
"""Smallest variance used, so that a pixel that never changes gets coefficients of 0."""


class SeasonalARConfig(MethodConfig):
    """``groups``, ``slots``: the seasons. ``ridge``: penalty, in units of a pixel's mean variance."""

    groups: Grouping = "weekday_time_of_day"
    slots: Slots = 48
    ridge: NonNegativeFloat = 1e-3


class SeasonalAR(Method):
    """Regress each future frame on the past frames, pixel by pixel (ridge, closed form).

    Without time stamps, or for a group without training clips, the intercept is that of all clips. Predictions are NaN
    until :meth:`fit` or :meth:`fit_at` is called.
    """

    Config = SeasonalARConfig
    config: SeasonalARConfig
    leaves_out_missing = True
    summary = "linear regression of each pixel on its past, with intercepts by time of day and weekday or weekend"
    coefficients: Tensor
    """(T_out, T_in, C, H, W): weight of each past frame in each future frame."""
    intercepts: Tensor
    """(G, T_out, C, H, W): intercepts of all clips, then of each group."""

    def __init__(self, shape: ClipShape, config: SeasonalARConfig) -> None:
        super().__init__(shape, config)
        groups = 1 + count_groups(config.groups, config.slots)
        self.register_buffer("coefficients", torch.full((shape.t_out, shape.t_in, *shape.frame), torch.nan))
        self.register_buffer("intercepts", torch.full((groups, shape.t_out, *shape.frame), torch.nan))

    @classmethod
    def adapt(cls, benchmark: Benchmark) -> dict[str, Any]:
        """Use a single group for frames so large that intercepts per group would fill the memory."""
        shape, default = benchmark.shape, SeasonalARConfig()
        frame = shape.channels * shape.height * shape.width
        values = (1 + count_groups(default.groups, default.slots)) * shape.t_out * frame
        return {"groups": "mean"} if values > LARGEST else {}

    def fit(self, clips: Iterable[Tensor]) -> None:
        """Fit to batches (B, T_in+T_out, C, H, W) without dates: one intercept."""
        self.fit_at((clip, None) for clip in clips)

    def fit_at(self, batches: Iterable[tuple[Tensor, Times | None]]) -> None:
        """Fit to batches (B, T_in+T_out, C, H, W) and their times, in one pass, summed in float64.

        A clip in which a pixel has a NaN does not count for that pixel.
        """
        t_in, device = self.shape.t_in, self.intercepts.device
        pixels = self.coefficients[0, 0].numel()
        products_PIL = torch.zeros(pixels, t_in, self.shape.length, dtype=torch.float64, device=device)
        sums: dict[int, _Sums] = {}
        for clip, times in batches:
            x_BLP = clip.to(device, torch.float64).flatten(2)
            valid_BP = x_BLP.isfinite().all(dim=1)
            x_BLP = torch.where(valid_BP[:, None], x_BLP, 0.0)
            products_PIL += torch.einsum("bip,blp->pil", x_BLP[:, :t_in], x_BLP)
            group_B = torch.zeros(len(clip), dtype=torch.int64) if times is None else self._group(times)
            for group in sorted(set(group_B.tolist())):
                mine = (group_B == group).to(device)
                sums.setdefault(group, _Sums(x_BLP[0])).add(x_BLP[mine], valid_BP[mine])
        for group in sums.values():
            products_PIL -= torch.einsum("ip,lp->pil", group.total_LP[:t_in], group.mean)
        self._solve(products_PIL, sums)

    def _group(self, times: Times) -> Tensor:
        """Return the group (B,) of each clip's last past frame."""
        return group_of(times[:, self.shape.t_in - 1], self.config.groups, self.config.slots)

    def _solve(self, products_PIL: Tensor, sums: dict[int, _Sums]) -> None:
        t_in = self.shape.t_in
        past_PII, cross_PIT = products_PIL[..., :t_in], products_PIL[..., t_in:]
        variance_P = past_PII.diagonal(dim1=1, dim2=2).mean(dim=1)
        penalty_P = self.config.ridge * variance_P + TINY
        identity = torch.eye(t_in, dtype=torch.float64, device=past_PII.device)
        solution_PIT = torch.linalg.solve(past_PII + penalty_P[:, None, None] * identity, cross_PIT)
        self.coefficients.copy_(solution_PIT.permute(2, 1, 0).reshape(self.coefficients.shape))
        whole = _Sums(next(iter(sums.values())).total_LP)
        for group in sums.values():
            whole.merge(group)
        self.intercepts.copy_(self._intercept(whole, solution_PIT).expand(self.intercepts.shape))
        for number, group in sums.items():
            if number:
                seen_P = (group.count_P > 0).reshape(self.shape.frame)
                own = self._intercept(group, solution_PIT).to(self.intercepts.dtype)
                self.intercepts[number] = torch.where(seen_P, own, self.intercepts[0])

    def _intercept(self, sums: _Sums, solution_PIT: Tensor) -> Tensor:
        t_in, t_out = self.shape.t_in, self.shape.t_out
        fitted_TP = torch.einsum("ip,pit->tp", sums.mean[:t_in], solution_PIT)
        intercept: Tensor = (sums.mean[t_in:] - fitted_TP).reshape(t_out, *self.shape.frame)
        return intercept

    def forward(self, past: Tensor) -> Tensor:
        """Predict with the intercept of all clips: (B, T_in, C, H, W) -> (B, T_out, C, H, W)."""
        self.check_past(past)
        return self._predict(past, torch.zeros(len(past), dtype=torch.int64, device=past.device))

    def predict_at(self, past: Tensor, times: Times | None) -> Tensor:
        """Predict with the intercept of each clip's group; without ``times``, the same as :meth:`forward`."""
        if times is None:
            return self(past)  # type: ignore[no-any-return]
        self.check_past(past)
        return self._predict(past, self._group(times).to(past.device))

    def _predict(self, past_BTCHW: Tensor, group_B: Tensor) -> Tensor:
        future = self.intercepts[group_B].to(past_BTCHW.dtype)
        for lag in range(self.shape.t_in):
            future = future + self.coefficients[:, lag].to(past_BTCHW.dtype) * past_BTCHW[:, lag, None]
        return future


class _Sums:
    """Running sums over the clips of one group (L, P), and the number of clips per pixel (P,)."""

    def __init__(self, like_LP: Tensor) -> None:
        self.total_LP = torch.zeros_like(like_LP)
        self.count_P = torch.zeros_like(like_LP[0])

    def add(self, x_BLP: Tensor, valid_BP: Tensor) -> None:
        self.total_LP += x_BLP.sum(dim=0)
        self.count_P += valid_BP.sum(dim=0)

    def merge(self, other: _Sums) -> None:
        self.total_LP += other.total_LP
        self.count_P += other.count_P

    @property
    def mean(self) -> Tensor:
        """Mean (L, P); 0 where no clip counts."""
        return self.total_LP / self.count_P.clamp(min=1)
