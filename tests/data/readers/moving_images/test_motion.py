"""The public generator's rule at the walls, against a loop over one coordinate at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stbench.data import load_benchmark
from stbench.data.random_streams import stream_key, uniforms
from stbench.data.readers.moving_images.glyphs import digits
from stbench.data.readers.moving_images.moving_images import MovingImagesOptions, MovingSplit, trajectories
from stbench.schema import ClipShape

SHAPE = ClipShape(t_in=10, t_out=10, channels=1, height=64, width=64)
FREE = 36
CLIPS = 40
GLYPHS = digits(28)


def public_walk(start: float, step: float, frames: int) -> list[int]:
    """Pixels of one coordinate: step, stand at a wall that was crossed and turn round, truncate; then a frame."""
    found = []
    for _ in range(frames):
        start += step
        if start < 0 or start > 1:
            start, step = (0.0 if start < 0 else 1.0), -step
        found.append(int(FREE * start))
    return found


def oracle(index: int) -> np.ndarray:
    """A test clip (T, H, W) in [0, 1] from its own random numbers and the public rule."""
    frames = np.zeros((SHAPE.length, 64, 64), np.uint8)
    for which, y, x, turn in uniforms(stream_key(0, 2, 0), np.array([index]), 8).reshape(2, 4).tolist():
        digit, angle = GLYPHS.test[int(which * len(GLYPHS.test))], 2 * math.pi * turn
        rows = public_walk(y, 0.1 * math.sin(angle), SHAPE.length)
        columns = public_walk(x, 0.1 * math.cos(angle), SHAPE.length)
        for frame, row, column in zip(frames, rows, columns, strict=True):
            place = frame[row : row + 28, column : column + 28]
            np.maximum(place, digit, out=place)
    return frames.astype(np.float32) / 255


def frame_error(motion: str) -> float:
    """The oracle's MSE per frame, over the frames to predict, on clips of one motion."""
    options = MovingImagesOptions.model_validate({"motion": motion})
    clips = MovingSplit(GLYPHS.test, "test", CLIPS, options, SHAPE).clips(np.arange(CLIPS), epoch=0)
    told = np.stack([oracle(index) for index in range(CLIPS)])
    return float(((clips[:, 10:, 0].numpy() - told[:, 10:]) ** 2).sum((2, 3)).mean())


def test_who_knows_the_public_rule_scores_zero() -> None:
    assert frame_error("clamp") == 0


def test_who_knows_the_public_rule_is_wrong_about_reflected_clips() -> None:
    """Digits that touched a wall are some pixels off for the rest of the clip."""
    assert frame_error("reflect") > 10


def test_clamped_digits_stand_at_both_walls() -> None:
    draws = np.random.default_rng(0).random((500, 2, 3))
    free = np.array([FREE, FREE])
    clamped = trajectories(draws, free, 0.1, 20, "clamp")
    reflected = trajectories(draws, free, 0.1, 20, "reflect")
    assert set(np.unique(clamped)) == set(range(FREE + 1))
    assert FREE not in reflected


@pytest.mark.parametrize("name", ["mmnist", "mfmnist", "moving_digits"])
def test_moving_image_benchmarks_follow_the_public_rule(name: str) -> None:
    assert load_benchmark(name).dataset.options["motion"] == "clamp"
