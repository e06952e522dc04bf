"""Convolution by key, patches by loops, the rollout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Weights = dict[str, Tensor]
Step = Callable[[Tensor, Any], tuple[Tensor, Any]]


def conv(weights: Weights, key: str, x: Tensor) -> Tensor:
    """Same-size convolution; a bias and a LayerNorm over all of C, H, W where the weights hold one."""
    kernel = weights[f"{key}.0.weight"]
    y = F.conv2d(x, kernel, weights.get(f"{key}.0.bias"), padding=kernel.shape[-1] // 2)
    if f"{key}.1.weight" in weights:
        mean = y.mean(dim=(1, 2, 3), keepdim=True)
        variance = ((y - mean) ** 2).mean(dim=(1, 2, 3), keepdim=True)
        y = (y - mean) / (variance + 1e-5).sqrt() * weights[f"{key}.1.weight"] + weights[f"{key}.1.bias"]
    return y


def gates(x: Tensor, count: int) -> list[Tensor]:
    n = x.shape[1] // count
    return [x[:, i * n : (i + 1) * n] for i in range(count)]


def to_patches(frame: Tensor, p: int) -> Tensor:
    """Channel (row in patch, column in patch, channel), fastest last."""
    c = frame.shape[1]
    parts = [frame[:, k, r::p, s::p] for r in range(p) for s in range(p) for k in range(c)]
    return torch.stack(parts, dim=1)


def from_patches(x: Tensor, p: int) -> Tensor:
    batch, depth, h, w = x.shape
    c = depth // (p * p)
    frame = x.new_zeros(batch, c, h * p, w * p)
    for r in range(p):
        for s in range(p):
            for k in range(c):
                frame[:, k, r::p, s::p] = x[:, (r * p + s) * c + k]
    return frame


def layers(weights: Weights, prefix: str) -> int:
    return 1 + max(int(key.split(".")[1]) for key in weights if key.startswith(prefix))


def rollout(step: Step, state: Any, clip: Tensor, feed: Tensor) -> tuple[Tensor, Any]:
    """Every emission; input t is the clip's frame t where ``feed`` says so, else the last emission."""
    emissions: list[Tensor] = []
    for t in range(feed.shape[1]):
        samples = [clip[b, t] if feed[b, t] else emissions[-1][b] for b in range(clip.shape[0])]
        emission, state = step(torch.stack(samples), state)
        emissions.append(emission)
    return torch.stack(emissions, dim=1), state
