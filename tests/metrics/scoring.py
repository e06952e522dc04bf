"""Scores of whole sets of frames, as the test pass makes them."""

from typing import Any

import torch
from torch import Tensor

from stbench.metrics import MetricAccumulator, frame_statistics


def frame(x: Any) -> Tensor:
    """One field (H, W) as a clip of one frame."""
    return torch.as_tensor(x, dtype=torch.float32)[None, None, None]


def totals(names: list[str], pred: Tensor, true: Tensor, **given: Any) -> dict[str, float]:
    """Totals over clips (B, T, C, H, W); values are in physical units unless ``scaling`` says otherwise."""
    return {name: score.total for name, score in scores(names, pred, true, **given).items()}


def scores(names: list[str], pred: Tensor, true: Tensor, **given: Any) -> dict[str, Any]:
    given = given if "scaling" in given else {"physical": (pred, true), **given}
    statistics = frame_statistics(names, pred, true, **{"data_range": 1.0, **given})
    accumulator = MetricAccumulator(names, pred.shape[1], 1.0)
    accumulator.update(statistics)
    return accumulator.compute()
