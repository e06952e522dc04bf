"""Input sampling of recurrent methods in training: true frames or emissions, as a function of the step number.

Sources: Bengio et al., "Scheduled Sampling", NeurIPS 2015; Wang et al., "PredRNN: A Recurrent Neural Network for
Spatiotemporal Predictive Learning", TPAMI 2022, §3.5 (reverse scheduled sampling).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from stbench.nn.method import Progress

Sampling = Literal["scheduled", "reverse", "none"]

DECAY_PER_STEP = 2e-5
SCHEDULED_STOP = 50_000
REVERSE_HOLD = 25_000
REVERSE_STOP = 50_000
REVERSE_SCALE = 5_000.0


def scheduled_rate(step: int) -> float:
    """Return the probability of the true frame at a future step: 1, then 2e-5 less per step, 0 from step 50 000 on.

    >>> scheduled_rate(0), scheduled_rate(25_000), scheduled_rate(50_000)
    (1.0, 0.5, 0.0)
    """
    return 0.0 if step >= SCHEDULED_STOP else max(0.0, 1.0 - DECAY_PER_STEP * step)


def reverse_rates(step: int) -> tuple[float, float]:
    """Return the probabilities of the true frame at (past, future) steps under reverse scheduled sampling.

    >>> reverse_rates(0), reverse_rates(50_000)
    ((0.5, 0.5), (1.0, 0.0))
    """
    if step < REVERSE_HOLD:
        return 0.5, 0.5
    if step < REVERSE_STOP:
        past = 1.0 - 0.5 * math.exp(-(step - REVERSE_HOLD) / REVERSE_SCALE)
        return past, 0.5 - 0.5 * (step - REVERSE_HOLD) / (REVERSE_STOP - REVERSE_HOLD)
    return 1.0, 0.0


def feed_mask(sampling: Sampling, batch: int, t_in: int, t_out: int, progress: Progress) -> Tensor:
    """Draw (B, T_in+T_out−1) bool, True where the true frame is fed, independently per sample and step.

    Step 0 always gets a true frame. Without sampling, past steps get true frames and future steps emissions.
    """
    rates = torch.ones(t_in + t_out - 1)
    if sampling == "none":
        rates[t_in:] = 0.0
    elif sampling == "scheduled":
        rates[t_in:] = scheduled_rate(progress.step)
    else:
        rates[1:t_in], rates[t_in:] = reverse_rates(progress.step)
    return progress.rand(batch, t_in + t_out - 1) < rates


def prediction_mask(batch: int, t_in: int, t_out: int) -> Tensor:
    """Return the mask of a prediction: true frames in the past, emissions after it."""
    return torch.arange(t_in + t_out - 1).expand(batch, -1) < t_in
