"""Augmentation: the change of a clip depends on (seed, epoch, index) and follows the options."""

import numpy as np
import pytest
import torch

from stbench.data import ClipLoader, Split
from stbench.data.augment import Augment
from stbench.errors import UserError
from stbench.schema import ClipShape

EVERYTHING = Augment(crop=0.8, turns=(0.25, 0.25, 0.25, 0.25), flips=("horizontal", "vertical"), seed=3)


def ramps(clips, side=8, frames=3):
    """Clips (B, T, 2, H, W): one channel holds each pixel's row, one its column; no two places look alike."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    frame = torch.stack([rows, columns]).float()
    return frame.expand(clips, frames, 2, side, side).clone()


class Ramps(Split):
    """As a stored split does it: clips by number, augmented."""

    def __init__(self, augment):
        self.augment = augment

    def __len__(self):
        return 40

    def clips(self, indices, epoch):
        return self.augment(ramps(len(indices)), indices, epoch)


@pytest.mark.parametrize("workers", [1, 2])
def test_any_number_of_workers_and_a_resume_change_nothing(workers):
    alone, spread = (ClipLoader(Ramps(EVERYTHING), 4, shuffle=True, workers=number) for number in (0, workers))
    for epoch, start in ((0, 0), (1, 3)):
        expected = [batch.numpy().tobytes() for batch in alone.epoch(epoch)][start:]
        assert [batch.numpy().tobytes() for batch in spread.epoch(epoch, start)] == expected


def test_a_clip_depends_on_seed_epoch_and_index_alone():
    together = EVERYTHING(ramps(40), np.arange(40), 2)
    for index in (39, 0, 7):
        assert (EVERYTHING(ramps(1), np.array([index]), 2)[0] == together[index]).all()
    for other in (
        EVERYTHING(ramps(40), np.arange(40), 3),
        Augment(**EVERYTHING.model_dump() | {"seed": 4})(ramps(40), np.arange(40), 2),
    ):
        assert (other != together).flatten(1).any(1).float().mean() > 0.9


def test_the_frames_of_a_clip_are_treated_alike():
    made = EVERYTHING(ramps(40), np.arange(40), 0)
    assert (made == made[:, :1]).all()


def test_turns_are_clockwise_and_as_frequent_as_asked():
    augment = Augment(turns=(0.125, 0.5, 0.25, 0.125))
    made = augment(ramps(4000), np.arange(4000), 0)
    expected = [np.rot90(ramps(1)[0].numpy(), -quarter, (-2, -1)) for quarter in range(4)]
    assert expected[1][0, 0, 0, -1] == 0  # the top row has become the right column
    found = [(made.numpy() == clip).all((1, 2, 3, 4)).mean() for clip in expected]
    assert sum(found) == 1
    np.testing.assert_allclose(found, augment.turns, atol=0.03)


@pytest.mark.parametrize(("flip", "channel"), [("vertical", 0), ("horizontal", 1)])
def test_half_of_the_clips_are_mirrored(flip, channel):
    made = Augment(flips=(flip,))(ramps(2000), np.arange(2000), 0)
    mirrored = made[:, 0, channel, 0, 0] == 7
    assert 0.45 < mirrored.float().mean() < 0.55
    assert (made[~mirrored] == ramps(1)).all()
    assert (made[mirrored] == ramps(1).flip(-2 if flip == "vertical" else -1)).all()


def test_a_crop_is_a_window_of_the_enlarged_frame():
    made = Augment(crop=0.8)(ramps(500), np.arange(500), 0)
    large = torch.nn.functional.interpolate(ramps(1)[0], (10, 10), mode="bilinear", align_corners=False)
    windows = {(top, left): large[..., top : top + 8, left : left + 8] for top in range(3) for left in range(3)}
    seen = [next(place for place, window in windows.items() if (clip == window).all()) for clip in made]
    assert set(seen) == set(windows)  # every window, edges included
    assert min(seen.count(place) for place in windows) > 30


def test_what_one_option_draws_does_not_depend_on_the_others():
    flips = Augment(flips=("horizontal",))(ramps(50), np.arange(50), 0)[:, 0, 1, 0, 0] == 7
    both = Augment(flips=("vertical", "horizontal"))(ramps(50), np.arange(50), 0)[:, 0, 1, 0, 0] == 7
    assert (flips == both).all()


def test_nothing_is_done_by_default():
    clips = ramps(3)
    assert Augment()(clips, np.arange(3), 0) is clips


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"turns": [0.5, 0.2, 0, 0]}, r"add up to 0\.7"),
        ({"turns": [float("nan"), 0, 0, 1]}, "turns"),
        ({"crop": 1.5}, "crop = 1.5"),
        ({"flip": ["horizontal"]}, "Did you mean 'flips'"),
    ],
)
def test_options_that_cannot_be(values, message):
    with pytest.raises(UserError, match=message):
        Augment.parse(values, "here")


def test_quarter_turns_need_squares():
    wide = ClipShape(t_in=1, t_out=1, channels=1, height=8, width=16)
    with pytest.raises(UserError, match=r"toy: frames of 8×16 cannot be turned by a quarter"):
        EVERYTHING.check(wide, "toy")
    Augment(turns=(0.5, 0, 0.5, 0), crop=0.9).check(wide, "toy")
