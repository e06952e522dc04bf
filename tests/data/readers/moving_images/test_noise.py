"""Noisy Moving MNIST and pictures behind the digits: what is disturbed, how much, and what is not."""

import numpy as np
import pytest

from stbench.data import dataset_spec, get_protocol, load_benchmark, open_dataset
from stbench.schema import ClipShape, DatasetSpec
from stbench.settings import merge
from tests import fixtures

TINY = {"md5": None, "val_images": 8, "train_clips": 300, "val_clips": 20, "test_clips": 30}
SHAPE = ClipShape(t_in=10, t_out=10, channels=1, height=64, width=64)


def opened(name, folder, protocol="paper", shape=SHAPE, **more):
    benchmark = load_benchmark(name)
    chosen = get_protocol(benchmark, protocol)
    options = merge(dataset_spec(benchmark, chosen).options, {**TINY, **more})
    return open_dataset(name, DatasetSpec(reader="moving_images", options=options), shape, (folder,), True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("mnist")
    fixtures.write("mmnist_cifar", made)
    return made


def train(folder, kind=None, splits=("train", "val", "test")):
    more = {"noise": None} if kind is None else {"noise": {"kind": kind}, "noisy": list(splits)}
    name = "noisy_mmnist" if kind is not None else "mmnist"
    dataset = opened(name, folder, **(more if kind is not None else {}))
    return dataset.train.clips(np.arange(300), 0).numpy()[:, :, 0]


def test_a_square_of_576_pixels_in_every_past_frame(folder):
    clean, noisy = train(folder), train(folder, "perceptual")
    assert np.array_equal(noisy[:, 10:], clean[:, 10:])
    assert np.isin(noisy[:, :10], [0]).sum() > np.isin(clean[:, :10], [0]).sum()
    changed = noisy[:, :10] != clean[:, :10]
    rows, columns = changed.any(3), changed.any(2)
    extent = [
        np.ptp(np.flatnonzero(line)) + 1 for line in (*rows.reshape(-1, 64), *columns.reshape(-1, 64)) if line.any()
    ]
    assert max(extent) <= 24
    assert (noisy[:, :10][changed] == 0).all()


def test_a_fifth_of_the_past_frames_is_missing(folder):
    clean, noisy = train(folder), train(folder, "missing")
    assert np.array_equal(noisy[:, 10:], clean[:, 10:])
    gone = ~noisy[:, :10].any(axis=(2, 3))
    assert np.array_equal(noisy[:, :10][~gone], clean[:, :10][~gone])
    per_clip = gone.sum(1)
    assert abs(per_clip.mean() - 2) < 4 * 1.265 / np.sqrt(300)


def test_motion_is_disturbed_in_past_steps_only(folder):
    from stbench.data.readers.moving_images.noise import Noise

    jolts = Noise(kind="dynamic").jolts(7, np.arange(2000), 2, 10, 20)
    assert jolts is not None
    assert not jolts[:, :, 10:].any()
    past = jolts[:, :, :10].ravel()
    assert abs(past.mean()) < 4 * 0.2 / np.sqrt(past.size)
    assert past.std() == pytest.approx(0.2, rel=0.01)
    assert (train(folder, "dynamic") != train(folder)).any()


def test_conditions_of_training_and_test_are_stated_apart(folder):
    legacy = opened("noisy_mmnist", folder, "legacy")
    assert "perceptual noise on past frames: training noisy, validation clean, test clean" in legacy.report
    clean = opened("mmnist", folder).test.clips(np.arange(30), 0)
    assert (legacy.test.clips(np.arange(30), 0) == clean).all()
    paper = opened("noisy_mmnist", folder)
    assert "training noisy, validation noisy, test noisy" in paper.report
    assert (paper.test.clips(np.arange(30), 0) != clean).any()


def test_white_digits_over_a_still_picture(folder):
    shape = SHAPE.model_copy(update={"channels": 3})
    dataset = opened("mmnist_cifar", folder, shape=shape, backgrounds={"val_pictures": 8})
    clips = np.rint(dataset.train.clips(np.arange(40), 0).numpy() * 255)
    glyphs = np.rint(train(folder)[:40] * 255) > 1
    assert (clips.transpose(0, 1, 3, 4, 2)[glyphs] == 255).all()
    still = np.where(glyphs[:, :, None], np.nan, clips)
    with np.errstate(all="ignore"):
        spread = np.nanmax(still, 1) - np.nanmin(still, 1)
    assert np.nanmax(spread) <= 1  # the rest of a digit's box may add a level
    assert len({clip[0, :, 0, 0].tobytes() for clip in clips}) > 5


def test_the_published_colour_clips_are_read(folder, tmp_path):
    fixtures.write("mmnist_cifar", tmp_path / "x")
    frames = np.random.default_rng(1).integers(0, 256, (20, 6, 64, 64, 3), dtype=np.uint8)
    np.save(tmp_path / "x" / "mnist_cifar_test_seq.npy", frames)
    shape = SHAPE.model_copy(update={"channels": 3})
    dataset = opened("mmnist_cifar", tmp_path / "x", shape=shape, backgrounds={"val_pictures": 8})
    seen = np.rint(dataset.test.clips(np.array([4]), 0).numpy()[0] * 255)
    assert np.array_equal(seen, frames[:, 4].transpose(0, 3, 1, 2))
    assert "test clips are the published ones" in dataset.report
