"""The validation score that selects the best weights. Axes: B, T, C, H, W."""

from __future__ import annotations

import torch
from torch import Tensor

from stbench.data import ClipLoader
from stbench.nn import Method
from stbench.nn.missing import fill_past
from stbench.train.engine import Engine


def validation_mse(method: Method, loader: ClipLoader, engine: Engine, *, incomplete: bool = False) -> float:
    """Return the MSE per frame (sum over C, H, W, mean over clips and lead times), equal on all processes.

    ``incomplete``: cells may be NaN. A frame's sum is then the mean over its known cells times their number in a whole
    frame, and frames without any are left out, as in the metric ``mse_frame``.
    """
    method.eval()
    t_in = method.shape.t_in
    total = torch.zeros(2, dtype=torch.float64, device=engine.device)
    for _, batch, times in loader.dated_epoch(0):
        clip = engine.to_device(batch)
        past = fill_past(clip[:, :t_in]) if incomplete else clip[:, :t_in]
        error = engine.predict(method, past, times) - clip[:, t_in:]
        if incomplete:
            total += _of_known(error, ~clip[:, t_in:].isnan())
            continue
        total[0] += error.square().sum(dtype=torch.float64)
        total[1] += error.shape[0] * error.shape[1]
    squared, frames = engine.sum(total).tolist()
    return float(squared / frames)


def _of_known(error: Tensor, known: Tensor) -> Tensor:
    """Return the sum over frames of their squared error, scaled to a whole frame, and the number of frames, (2,)."""
    squared = error.where(known, 0.0).square().sum((2, 3, 4), dtype=torch.float64)
    cells = known.sum((2, 3, 4))
    scaled = squared * known[0, 0].numel() / cells.clamp(min=1)
    return torch.stack([scaled.sum(), (cells > 0).sum().double()])
