"""The validation score that selects the best weights. Axes: B, T, C, H, W."""

from __future__ import annotations

import torch

from stbench.data import ClipLoader
from stbench.nn import Method
from stbench.train.engine import Engine


def validation_mse(method: Method, loader: ClipLoader, engine: Engine) -> float:
    """Return the MSE per frame (sum over C, H, W, mean over clips and lead times), equal on all processes."""
    method.eval()
    t_in = method.shape.t_in
    total = torch.zeros(2, dtype=torch.float64, device=engine.device)
    for _, batch, times in loader.dated_epoch(0):
        clip = engine.to_device(batch)
        error = engine.predict(method, clip[:, :t_in], times) - clip[:, t_in:]
        total[0] += error.square().sum(dtype=torch.float64)
        total[1] += error.shape[0] * error.shape[1]
    squared, frames = engine.sum(total).tolist()
    return float(squared / frames)
