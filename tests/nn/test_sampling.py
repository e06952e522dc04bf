"""Sampling schedules: closed forms, and masks that follow them."""

from __future__ import annotations

import math

import pytest
import torch

from stbench.nn import Progress, feed_mask, prediction_mask
from stbench.nn.sampling import reverse_rates, scheduled_rate


@pytest.mark.parametrize(("step", "rate"), [(0, 1.0), (1, 0.99998), (49_999, 2e-5), (50_000, 0.0), (10**7, 0.0)])
def test_scheduled_rate(step: int, rate: float) -> None:
    assert math.isclose(scheduled_rate(step), rate, abs_tol=1e-9)


@pytest.mark.parametrize(
    ("step", "past", "future"),
    [
        (0, 0.5, 0.5),
        (24_999, 0.5, 0.5),
        (25_000, 0.5, 0.5),
        (30_000, 1 - 0.5 / math.e, 0.4),
        (49_999, 1 - 0.5 * math.exp(-24_999 / 5_000), 0.5 / 25_000),
        (50_000, 1.0, 0.0),
        (10**7, 1.0, 0.0),
    ],
)
def test_reverse_rates(step: int, past: float, future: float) -> None:
    seen = reverse_rates(step)
    assert math.isclose(seen[0], past, abs_tol=1e-12)
    assert math.isclose(seen[1], future, abs_tol=1e-12)


@pytest.mark.parametrize(
    ("sampling", "step", "past", "future"),
    [
        ("none", 0, 1.0, 0.0),
        ("scheduled", 0, 1.0, 1.0),
        ("scheduled", 35_000, 1.0, 0.3),
        ("scheduled", 60_000, 1.0, 0.0),
        ("reverse", 0, 0.5, 0.5),
        ("reverse", 60_000, 1.0, 0.0),
    ],
)
def test_masks_follow_the_rates(sampling: str, step: int, past: float, future: float) -> None:
    """4000 draws: each step's share within five standard errors; the first frame is always true."""
    generator = torch.Generator().manual_seed(0)
    feed = feed_mask(sampling, 4000, 3, 2, Progress(step=step, generator=generator))  # type: ignore[arg-type]
    assert feed.dtype == torch.bool
    assert feed.shape == (4000, 4)
    share = feed.double().mean(0)
    for t, rate in enumerate([1.0, past, past, future]):
        assert abs(share[t].item() - rate) <= 5 * math.sqrt(rate * (1 - rate) / 4000)


def test_samples_and_steps_are_drawn_on_their_own() -> None:
    """Neighbouring steps, and neighbouring samples of one step, are uncorrelated."""
    feed = feed_mask("scheduled", 4000, 1, 4, Progress(step=25_000, generator=torch.Generator().manual_seed(0)))[
        :, 1:
    ].double()
    bound = 5 / math.sqrt(4000)
    assert (torch.corrcoef(feed.T) - torch.eye(3)).abs().max() < bound
    assert torch.corrcoef(torch.stack([feed[:-1, 0], feed[1:, 0]]))[0, 1].abs() < bound


def test_a_mask_depends_on_the_generator_alone() -> None:
    def draw(seed: int) -> torch.Tensor:
        torch.rand(seed + 1)
        return feed_mask("reverse", 8, 4, 4, Progress(generator=torch.Generator().manual_seed(seed)))

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


def test_prediction_mask() -> None:
    assert prediction_mask(2, 3, 2).tolist() == [[True, True, True, False]] * 2
