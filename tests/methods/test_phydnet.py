"""PhyDNet against its slow version: both patches, any frame and lengths, forced, free and mixed; all in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from stbench import ClipShape, Progress
from stbench.nn import prediction_mask
from tests.methods import oracles
from tests.methods.test_oracles import SQUARE, TALL, WIDE, Case, build, published

LONG = ClipShape(t_in=1, t_out=3, channels=1, height=4, width=12)
CASES = [
    Case("phydnet", shape, {"hid_s": 32, "patch": patch, **options})
    for shape, patch, options in (
        (SQUARE, 2, {}),
        (SQUARE, 4, {"output_activation": "none"}),
        (WIDE, 4, {}),
        (TALL, 2, {"moment_weight": 0.3}),
        (LONG, 4, {"moment_weight": 0.0}),
    )
] + [Case("phydnet", WIDE, {"hid_s": 64, "patch": 2})]


def expected_emissions(case: Case, weights: dict[str, Tensor], clip: Tensor, feed: Tensor) -> Tensor:
    sigmoid = case.settings.get("output_activation") != "none"
    return oracles.phydnet(weights, clip, feed, case.settings["patch"], sigmoid)


def feeds(shape: ClipShape) -> dict[str, Tensor]:
    """Rollout masks for three samples."""
    steps = torch.arange(shape.length - 1)
    forced = torch.ones(3, shape.length - 1).bool()
    mixed = (steps < 1) | (torch.rand(3, len(steps), generator=torch.Generator().manual_seed(2)) < 0.5)
    return {"forced": forced, "free": prediction_mask(3, shape.t_in, shape.t_out), "mixed": mixed}


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("mask", ["forced", "free", "mixed"])
def test_training_rollout(case: Case, mask: str) -> None:
    method = build(case)
    clip = torch.rand(3, case.shape.length, *case.shape.frame, dtype=torch.float64)
    feed = feeds(case.shape)[mask]
    weights = published(method)
    emissions = expected_emissions(case, weights, clip, feed)
    frames = sum(F.mse_loss(emissions[:, t], clip[:, t + 1]) for t in range(case.shape.length - 1))
    expected = frames + case.settings.get("moment_weight", 1.0) * oracles.moment_loss(weights)
    parameters = list(method.parameters())
    expected_grads = torch.autograd.grad(expected, parameters)
    loss = method.rollout_losses(clip, feed)["loss"]
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-12)
    for name, grad, wanted in zip(
        dict(method.named_parameters()), torch.autograd.grad(loss, parameters), expected_grads, strict=True
    ):
        torch.testing.assert_close(grad, wanted, rtol=1e-6, atol=1e-9, msg=name)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_prediction(case: Case) -> None:
    method = build(case).eval()
    past = torch.rand(case.shape.past(3), dtype=torch.float64)
    with torch.no_grad():
        emissions = expected_emissions(case, published(method), past, feeds(case.shape)["free"])
        torch.testing.assert_close(method(past), emissions[:, -case.shape.t_out :], rtol=1e-9, atol=1e-12)


def test_teacher_forcing_is_one_draw_per_batch_that_fades() -> None:
    method = build(CASES[0])
    generator = torch.Generator().manual_seed(0)
    for epoch, low, high in ((0, 1.0, 1.0), (100, 0.6, 0.8), (334, 0.0, 0.0)):
        draws = [method.draw_feed(4, Progress(epoch=epoch, generator=generator)) for _ in range(300)]
        assert all((draw == draw[:1]).all() for draw in draws)
        assert all(draw[0, : SQUARE.t_in].all() for draw in draws)
        forced = [bool(draw[0, -1]) for draw in draws]
        assert low <= sum(forced) / len(forced) <= high
