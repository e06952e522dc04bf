"""A training step of an eager reference: forward, loss, backward, Adam; the framework's defaults throughout."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import EagerModel


class TrainingStep:
    """Adam over a model's parameters."""

    def __init__(self, model: EagerModel, lr: float = 1e-3) -> None:
        self.model = model.train()
        self.optimizer = torch.optim.Adam(model.parameters(), lr=lr)

    def __call__(self, clip: Tensor, feed: Tensor) -> Tensor:
        """One step on clips (B, T, C, H, W); returns the detached loss."""
        self.optimizer.zero_grad()
        loss = self.model.loss(clip, feed)
        loss.backward()
        self.optimizer.step()
        return loss.detach()
