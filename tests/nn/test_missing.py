"""Missing cells: filled inputs, masked losses, exact under accumulation. Axes: B, T, C, H, W."""

import re
from collections.abc import Iterable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stbench.nn import Known, Method, MethodConfig, Progress, mean_absolute_error, mean_squared_error
from stbench.nn.missing import fill_clip, fill_past, why_not_missing
from stbench.schema import ClipShape, Parameters
from stbench.train.engine import Engine
from stbench.train.optimizers import Adam
from stbench.train.validate import validation_mse

NAN = float("nan")
SHAPE = ClipShape(t_in=2, t_out=2, channels=1, height=4, width=5)


def series(*values: float) -> Tensor:
    return torch.tensor(values).view(1, -1, 1, 1, 1)


@pytest.mark.parametrize(
    ("past", "filled"),
    [
        ([1, NAN, 3], [1, 1, 3]),  # the value before
        ([NAN, NAN, 3], [3, 3, 3]),  # none before: the next one
        ([NAN, 2, NAN], [2, 2, 2]),
        ([NAN, NAN, NAN], [0, 0, 0]),  # nothing known anywhere
    ],
)
def test_a_cell_is_filled_from_its_own_past(past: list[float], filled: list[float]) -> None:
    assert fill_past(series(*past)).flatten().tolist() == filled


def test_a_cell_without_any_value_gets_the_mean_of_its_clip_and_channel() -> None:
    past = torch.tensor([[[[[1.0, 3.0, NAN]], [[10.0, NAN, NAN]]]]])  # one frame, two channels
    assert fill_past(past).flatten().tolist() == [1, 3, 2, 10, 10, 10]


def test_the_past_does_not_see_the_future() -> None:
    clip = series(NAN, 5, 100, NAN)
    assert fill_clip(clip, 2).flatten().tolist() == [5, 5, 100, 100]
    assert fill_clip(series(NAN, NAN, 7, NAN), 2).flatten().tolist() == [0, 0, 7, 7]


def test_complete_clips_stay_as_they_are() -> None:
    clip = torch.rand(3, 5, 2, 4, 4)
    assert torch.equal(fill_clip(clip, 2), clip)
    assert torch.equal(fill_past(clip), clip)


def with_holes(batch: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    clip = torch.rand(batch, 4, 1, 4, 5, generator=generator)
    return clip.masked_fill(torch.rand(clip.shape, generator=generator) < torch.linspace(0, 0.9, 5), NAN)


def test_losses_are_means_over_known_cells() -> None:
    clip = with_holes()
    true, pred = clip[:, 2:], torch.rand(8, 2, 1, 4, 5)
    known = Known.of(clip, lambda counts: counts).frames(2)
    filled = fill_clip(clip, 2)[:, 2:]
    error = (pred - true).numpy()
    assert mean_squared_error(pred, filled, known).item() == pytest.approx(np.nanmean(error**2), rel=1e-6)
    assert mean_absolute_error(pred, filled, known).item() == pytest.approx(np.nanmean(abs(error)), rel=1e-6)
    assert torch.equal(mean_squared_error(pred, filled, None), nn.functional.mse_loss(pred, filled))


def test_no_gradient_flows_through_missing_cells() -> None:
    pred = torch.zeros(1, 1, 1, 1, 2, requires_grad=True)
    true = torch.tensor([[[[[1.0, NAN]]]]])
    known = Known.of(true, lambda counts: counts)
    mean_squared_error(pred, true.nan_to_num(7.0), known).backward()
    assert pred.grad is not None
    assert pred.grad.flatten().tolist() == [-2, 0]


class Plain(Method):
    """A convolution over the past; its loss is the inherited one."""

    def __init__(self, shape: ClipShape, config: MethodConfig) -> None:
        super().__init__(shape, config)
        self.conv = nn.Conv2d(shape.t_in, shape.t_out, 3, padding=1)

    def forward(self, past: Tensor) -> Tensor:
        return self.conv(past[:, :, 0])[:, :, None]


@pytest.mark.parametrize("accumulate", [2, 4])
def test_accumulation_changes_no_loss_and_no_weight(accumulate: int) -> None:
    found = []
    for parts in (1, accumulate):
        torch.manual_seed(1)
        method, engine = Plain(SHAPE, MethodConfig()), Engine("cpu")
        module = engine.wrap(method, Adam().build(Parameters(method), 0.1), incomplete=True)
        losses = module.step(with_holes(), Progress(), accumulate=parts, clip_norm=None)
        found.append((losses["loss"], method.conv.weight.detach().clone()))
    torch.testing.assert_close(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-4, atol=1e-6)


def test_validation_leaves_out_missing_cells_and_empty_frames() -> None:
    clip = with_holes(3)
    clip[1, 3] = NAN
    method = Plain(SHAPE, MethodConfig()).eval()

    class Once:
        def dated_epoch(self, epoch: int) -> Iterable[tuple[None, Tensor, None]]:
            return [(None, clip[:2], None), (None, clip[2:], None)]

    with torch.no_grad():
        error = (method(fill_past(clip[:, :2])) - clip[:, 2:]).numpy()
    frames = [np.nanmean(error[b, t] ** 2) * 20 for b in range(3) for t in range(2) if (b, t) != (1, 1)]
    score = validation_mse(method, Once(), Engine("cpu"), incomplete=True)  # type: ignore[arg-type]
    assert score == pytest.approx(np.mean(frames), rel=1e-5)


class OwnLoss(Plain):
    def training_losses(self, past: Tensor, future: Tensor, progress: Progress) -> dict[str, Tensor]:
        return super().training_losses(past, future, progress)


class Declared(OwnLoss):
    leaves_out_missing = True


class OwnFit(Method):
    def fit(self, clips: Iterable[Tensor]) -> None:
        """Nothing to fit."""


class Refuses(Plain):
    leaves_out_missing = False


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        (Plain, None),
        (Declared, None),
        (OwnLoss, r"OwnLoss\.training_losses is not known to leave out missing cells.*--fill"),
        (OwnFit, r"OwnFit\.fit is not known"),
        (Refuses, "Refuses cannot leave out missing cells"),
    ],
)
def test_a_loss_of_its_own_must_be_declared(method: type[Method], reason: str | None) -> None:
    found = why_not_missing(method)
    assert (found is None) == (reason is None)
    assert reason is None or re.search(reason, found or "")
