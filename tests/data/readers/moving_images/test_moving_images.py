"""Moving images against two loops: one draws pixel by pixel in plain Python, one a clip at a time with array slices."""

import math
import time

import numpy as np
import pytest

from stbench.data import ClipLoader, load_benchmark, open_dataset
from stbench.data.random_streams import stream_key, uniforms
from stbench.data.readers.moving_images.glyphs import digits
from stbench.data.readers.moving_images.moving_images import MovingImagesOptions, MovingSplit, trajectories
from stbench.errors import UserError
from stbench.schema import ClipShape

SHAPE = ClipShape(t_in=10, t_out=10, channels=1, height=64, width=64)
WORD = (1 << 64) - 1


def slow_uniform(key, place):
    """One number of the SplitMix64 stream that starts at ``key``, by the published algorithm."""
    z = (key + (place + 1) * 0x9E3779B97F4A7C15) & WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
    return ((z ^ (z >> 31)) >> 11) / (1 << 53)


def slow_path(y, x, angle, frames, free, speed=0.1):
    """Corners of one glyph, moved step by step and turned round at the walls."""
    dy, dx = speed * math.sin(angle), speed * math.cos(angle)
    for _ in range(frames):
        yield math.floor(y * free[0]), math.floor(x * free[1])
        y, x = y + dy, x + dx
        if not 0 <= y <= 1:
            y, dy = (-y if y < 0 else 2 - y), -dy
        if not 0 <= x <= 1:
            x, dx = (-x if x < 0 else 2 - x), -dx


def slow_clip(glyphs, key, index, options, shape):
    """One clip (T, H, W) as nested lists of 0 … 255."""
    per_glyph = 4
    clip = [[[0] * shape.width for _ in range(shape.height)] for _ in range(shape.length)]
    size = glyphs.shape[1:]
    free = shape.height - size[0], shape.width - size[1]
    for number in range(options.per_clip):
        first = (index * options.per_clip + number) * per_glyph
        which, y, x, turn = (slow_uniform(key, first + draw) for draw in range(per_glyph))
        glyph = glyphs[int(which * len(glyphs))].tolist()
        for frame, (top, left) in zip(clip, slow_path(y, x, 2 * math.pi * turn, shape.length, free), strict=True):
            for row in range(size[0]):
                for column in range(size[1]):
                    pixel = frame[top + row][left + column]
                    frame[top + row][left + column] = max(pixel, glyph[row][column])
    return clip


def sliced_clip(glyphs, key, index, options, shape):
    """One clip (T, H, W) float32 as the field's loaders draw it: a glyph's maximum with a slice of each frame."""
    clip = np.zeros((shape.length, shape.height, shape.width), np.uint8)
    draws = uniforms(key, np.array([index]), 4 * options.per_clip).reshape(options.per_clip, 4)
    height, width = glyphs.shape[1:]
    free = shape.height - height, shape.width - width
    for which, y, x, turn in draws.tolist():
        glyph = glyphs[int(which * len(glyphs))]
        for frame, (top, left) in zip(clip, slow_path(y, x, 2 * math.pi * turn, shape.length, free), strict=True):
            place = frame[top : top + height, left : left + width]
            np.maximum(place, glyph, out=place)
    return clip.astype(np.float32) / 255


@pytest.fixture(scope="module")
def glyphs():
    return digits(28)


def split_of(glyphs, name="train", **options):
    return MovingSplit(glyphs.train, name, 10_000, MovingImagesOptions(**options), SHAPE)


def test_uniforms_are_the_published_stream():
    key = stream_key(3, 1, 4)
    found = uniforms(key, np.array([0, 5, 9_999_999]), 8)
    assert found.tolist() == [[slow_uniform(key, i * 8 + j) for j in range(8)] for i in (0, 5, 9_999_999)]


def test_clips_are_those_of_the_slow_generator(glyphs):
    options = MovingImagesOptions(seed=7)
    indices = np.array([0, 17, 9_999, 3])
    clips = MovingSplit(glyphs.train, "train", 10_000, options, SHAPE).clips(indices, epoch=5)
    key = stream_key(7, 0, 5)
    for clip, index in zip(clips, indices.tolist(), strict=True):
        slow = np.array(slow_clip(glyphs.train, key, index, options, SHAPE), dtype=np.float32) / 255
        np.testing.assert_array_equal(clip[:, 0].numpy(), slow)


@pytest.mark.parametrize(("per_clip", "height", "width"), [(1, 30, 40), (2, 64, 64), (3, 64, 40), (5, 29, 29)])
def test_clips_are_those_of_the_loop_over_slices(glyphs, per_clip, height, width):
    options = MovingImagesOptions(per_clip=per_clip)
    shape = SHAPE.model_copy(update={"height": height, "width": width})
    clips = MovingSplit(glyphs.train, "train", 100, options, shape).clips(np.arange(8), epoch=1)
    for index, clip in enumerate(clips):
        expected = sliced_clip(glyphs.train, stream_key(0, 0, 1), index, options, shape)
        np.testing.assert_array_equal(clip[:, 0], expected)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_same_bytes_from_any_number_of_workers(glyphs, workers):
    split = split_of(glyphs)
    plain, spread = (ClipLoader(split, 4, shuffle=True, limit=20, workers=number) for number in (0, workers))
    for epoch in (0, 3):
        expected = [batch.numpy().tobytes() for batch in plain.epoch(epoch)]
        assert [batch.numpy().tobytes() for batch in spread.epoch(epoch)] == expected
        assert len(set(expected)) == 5


@pytest.mark.slow
@pytest.mark.parametrize(("loop", "times"), [(slow_clip, 50), (sliced_clip, 1.5)])
def test_faster_than_a_loop_over_clips(glyphs, loop, times):
    """Half of what is left is writing 20 frames as float32 (14 µs; 9 µs if they were all black), which any way must."""
    options = MovingImagesOptions()
    split = MovingSplit(glyphs.train, "train", 10_000, options, SHAPE)
    indices = np.arange(16)
    key = stream_key(0, 0, 0)
    fast = slow = math.inf
    for _ in range(8):  # in turn, so that what else the machine does meets both
        fast = min(fast, *(timed(lambda: split.clips(indices, 0)) / len(indices) for _ in range(5)))
        slow = min(slow, timed(lambda: loop(glyphs.train, key, 0, options, SHAPE)))
    print(f"{loop.__name__}: {1e6 * slow:.0f} µs, {slow / fast:.1f} times the {1e6 * fast:.0f} µs of the generator")
    assert slow > times * fast, f"{slow / fast:.1f} times"


def timed(call):
    start = time.process_time()
    call()
    return time.process_time() - start


def test_a_clip_depends_on_nothing_but_its_index_and_epoch(glyphs):
    split = split_of(glyphs)
    together = split.clips(np.arange(6), 2)
    assert together.shape == (6, *(SHAPE.length, 1, 64, 64))
    for index in (5, 0, 3):
        np.testing.assert_array_equal(split.clips(np.array([index]), 2)[0], together[index])
    assert (split.clips(np.arange(6), 3) != together).flatten(1).any(1).all()
    assert (split_of(glyphs, seed=1).clips(np.arange(6), 2) != together).flatten(1).any(1).all()


@pytest.mark.parametrize("name", ["val", "test"])
def test_held_out_clips_ignore_the_epoch(glyphs, name):
    split = split_of(glyphs, name)
    np.testing.assert_array_equal(split.clips(np.arange(4), 0), split.clips(np.arange(4), 9))
    assert (split.clips(np.arange(4), 0) != split_of(glyphs).clips(np.arange(4), 0)).any()


def test_movement_is_straight_and_stays_inside():
    free = np.array([36, 36])
    draws = np.random.default_rng(0).random((500, 2, 3))
    corners = trajectories(draws, free, 0.1, 20)
    assert corners.min() >= 0
    assert corners.max() <= 36
    steps = np.hypot(*np.moveaxis(np.diff(corners, axis=2), -1, 0))
    assert steps.max() <= 3.6 + math.sqrt(2)
    assert np.median(steps) == pytest.approx(3.6, abs=0.3)
    assert len(np.unique(corners[..., 0])) >= 36


def test_no_glyph_is_in_two_splits(glyphs):
    images = [{image.tobytes() for image in part} for part in (glyphs.train, glyphs.val, glyphs.test)]
    assert not images[0] & images[1]
    assert not images[0] & images[2]
    assert not images[1] & images[2]
    assert sum(map(len, (glyphs.train, glyphs.val, glyphs.test))) == 1797
    assert glyphs.train.shape[1:] == (28, 28)
    assert glyphs.train.max() == 255
    assert glyphs.train.min() == 0


def test_enlarged_digits_keep_their_light(glyphs):
    from sklearn.datasets import load_digits

    small = load_digits().images.mean() / 16
    large = np.concatenate([glyphs.train, glyphs.val, glyphs.test]).mean() / 255
    assert large == pytest.approx(small, rel=0.05)


def test_validation_digits_join_training_when_nothing_is_held_out(glyphs):
    benchmark = load_benchmark("moving_digits")
    held, all_in = (open_dataset("moving_digits", benchmark.dataset, SHAPE, (), hold) for hold in (True, False))
    assert all_in.val is all_in.test
    assert len(held.val) == 1000
    assert "1438 glyphs" in held.report
    assert "1618 glyphs" in all_in.report
    assert held.fingerprint == all_in.fingerprint


@pytest.mark.parametrize("update", [{"height": 28}, {"width": 20}, {"channels": 3}])
def test_canvas_must_hold_a_glyph(update):
    shape = SHAPE.model_copy(update=update)
    with pytest.raises(UserError, match=r"moving images need a frame \(1, H, W\) with H > 28 and W > 28"):
        open_dataset("moving_digits", load_benchmark("moving_digits").dataset, shape, (), True)
