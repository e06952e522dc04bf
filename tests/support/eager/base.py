"""What every eager reference offers, and the rollout of the recurrent ones. Axes: B, T, C, H, W."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class EagerModel(nn.Module):
    """A model that predicts T_out frames and knows its training loss."""

    def __init__(self, t_in: int, t_out: int) -> None:
        super().__init__()
        self.t_in = t_in
        self.t_out = t_out

    def forward(self, past: Tensor) -> Tensor:
        """(B, T_in, C, H, W) -> (B, T_out, C, H, W)."""
        raise NotImplementedError

    def loss(self, clip: Tensor, feed: Tensor) -> Tensor:
        """Training loss of a clip (B, T_in+T_out, C, H, W); ``feed`` (B, T_in+T_out-1) says where true frames go in."""
        raise NotImplementedError


class OnePass(EagerModel):
    """A feed-forward model: one pass predicts T_in frames; more come from passes over its own output."""

    def predict_block(self, past: Tensor) -> Tensor:
        """(B, T_in, C, H, W) -> the next T_in frames."""
        raise NotImplementedError

    def forward(self, past: Tensor) -> Tensor:
        passes = [self.predict_block(past)]
        while len(passes) * self.t_in < self.t_out:
            passes.append(self.predict_block(passes[-1]))
        return torch.cat(passes, 1)[:, : self.t_out]

    def loss(self, clip: Tensor, feed: Tensor) -> Tensor:
        return nn.functional.mse_loss(self(clip[:, : self.t_in]), clip[:, self.t_in :])


def dropped(branch: Tensor, rate: float, training: bool) -> Tensor:
    """Stochastic depth: drop a branch per entry of the first axis; survivors are divided by 1 - rate."""
    if not training or rate == 0:
        return branch
    keep = branch.new_empty(len(branch), *[1] * (branch.dim() - 1)).bernoulli_(1 - rate)
    return branch * keep.div_(1 - rate)


class RolledOut(EagerModel):
    """A recurrent model: one step per frame."""

    def start(self, clip: Tensor) -> Any:
        """The state before the first frame."""
        raise NotImplementedError

    def step(self, frame: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Frame (B, C, H, W) and state -> the next frame and the new state."""
        raise NotImplementedError

    def emissions(self, clip: Tensor, feed: Tensor) -> tuple[Tensor, Any]:
        """Every predicted frame (B, T_in+T_out-1, C, H, W) and the last state."""
        state, frame, out = self.start(clip), clip[:, 0], []
        for t in range(self.t_in + self.t_out - 1):
            if feed[:, t].all():
                frame = clip[:, t]
            elif feed[:, t].any():
                mask = feed[:, t, None, None, None].to(clip.device, clip.dtype)
                frame = mask * clip[:, t] + (1 - mask) * frame
            frame, state = self.step(frame, state)
            out.append(frame)
        return torch.stack(out, 1), state

    def forward(self, past: Tensor) -> Tensor:
        feed = torch.arange(self.t_in + self.t_out - 1).expand(len(past), -1) < self.t_in
        return self.emissions(past, feed)[0][:, -self.t_out :]

    def loss(self, clip: Tensor, feed: Tensor) -> Tensor:
        return nn.functional.mse_loss(self.emissions(clip, feed)[0], clip[:, 1:])
