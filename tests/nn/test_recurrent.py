"""The rollout: inputs, emissions and rejected arguments."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from stbench import ClipShape, Progress
from stbench.errors import UserError
from stbench.nn import MethodConfig, RecurrentForecaster, prediction_mask

SHAPE = ClipShape(t_in=3, t_out=2, channels=1, height=2, width=2)


class Recorder(RecurrentForecaster):
    """Guesses its input plus 100 and, as a state, gathers its inputs."""

    def __init__(self, shape: ClipShape = SHAPE) -> None:
        super().__init__(shape, MethodConfig())
        self.weight = nn.Parameter(torch.ones(()))

    def initial_state(self, frame: Tensor) -> list[Tensor]:
        return []

    def step(self, frame: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        return self.weight * frame + 100, [*state, frame]

    def draw_feed(self, batch: int, progress: Progress) -> Tensor:
        return prediction_mask(batch, self.shape.t_in, self.shape.t_out)


def numbered(batch: int, frames: int) -> Tensor:
    """Frame t of sample b is 10·b + t everywhere."""
    values = 10.0 * torch.arange(batch)[:, None] + torch.arange(frames)
    return values[:, :, None, None, None].expand(batch, frames, 1, 2, 2)


def values(frames: Tensor | list[Tensor]) -> list[list[float]]:
    stacked = torch.stack(frames, 1) if isinstance(frames, list) else frames
    return stacked[..., 0, 0, 0].tolist()


def test_a_mask_decides_per_sample_and_step() -> None:
    feed = torch.tensor([[1, 0, 1, 0], [1, 1, 0, 0]]).bool()
    emissions, fed = Recorder().unroll(numbered(2, 5), feed)
    assert values(fed) == [[0, 100, 2, 102], [10, 11, 111, 211]]
    assert values(emissions) == [[100, 200, 102, 202], [110, 111, 211, 311]]


def test_a_prediction_is_the_last_t_out_emissions_and_needs_the_past_only() -> None:
    assert values(Recorder()(numbered(1, 3))) == [[102, 202]]


def test_the_loss_scores_every_emission_against_the_next_frame() -> None:
    clip = numbered(2, 5)
    losses = Recorder().training_losses(clip[:, :3], clip[:, 3:], Progress())
    errors = [100 + t - (t + 1) for t in range(3)] + [202 - 4]
    assert losses["loss"].item() == pytest.approx(sum(e * e for e in errors) / 4)
    assert set(losses) == {"loss", "mse"}


def test_a_rollout_can_start_from_a_given_state() -> None:
    marker = torch.full((1, 1, 2, 2), -1.0)
    _, fed = Recorder().unroll(numbered(1, 3), prediction_mask(1, 3, 2), [marker])
    assert values(fed) == [[-1, 0, 1, 2, 102]]


def test_one_frame_in_one_frame_out() -> None:
    shape = SHAPE.model_copy(update={"t_in": 1, "t_out": 1})
    assert values(Recorder(shape)(numbered(1, 1))) == [[100]]


@pytest.mark.parametrize(
    ("feed", "message"),
    [
        (torch.ones(1, 3).bool(), r"feed_true is \(1, 3\); expected .* \(1, 4\)"),
        (torch.tensor([[0, 1, 1, 0]]).bool(), "must be True at step 0"),
        (torch.ones(1, 4).bool(), "selects true frame 3, but the clip has 3 frames"),
    ],
)
def test_masks_that_cannot_be(feed: Tensor, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Recorder().rollout(numbered(1, 3), feed)


def test_lists_are_no_tensors() -> None:
    clip, feed = numbered(1, 3), prediction_mask(1, 3, 2)
    with pytest.raises(UserError, match="feed_true must be a torch tensor, got a list"):
        Recorder().rollout(clip, feed.tolist())
    with pytest.raises(UserError, match="clip must be a torch tensor, got a ndarray"):
        Recorder().rollout(clip.numpy(), feed)  # type: ignore[arg-type]
