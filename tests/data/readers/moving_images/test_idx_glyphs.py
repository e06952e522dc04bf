"""Moving images from idx files: splits by image, the public test clips, and files that are wrong."""

import gzip
import pickle

import numpy as np
import pytest

from stbench.data import load_benchmark, open_dataset
from stbench.data.readers.moving_images.idx_glyphs import read_idx_images, shrink
from stbench.errors import UserError
from stbench.schema import ClipShape, DatasetSpec
from tests.fixtures import mmnist

SHAPE = ClipShape(t_in=10, t_out=10, channels=1, height=64, width=64)
TINY = {"md5": None, "val_images": 8, "train_clips": 60, "val_clips": 20, "test_clips": 30}


def build(folder, hold_out=True, shape=SHAPE, name="mmnist", **options):
    spec = load_benchmark(name).dataset
    values = spec.options | TINY | options
    return open_dataset(name, DatasetSpec(reader=spec.reader, options=values), shape, (folder,), hold_out)


def glyph_numbers(split):
    glyphs = split._glyphs.astype(int)
    return set(((glyphs[:, 0, 0] - 1) * 255 + glyphs[:, 0, 1] - 1).tolist())


@pytest.mark.parametrize("hold_out", [True, False])
def test_images_are_split_not_clips(tmp_path, hold_out):
    mmnist.write(tmp_path / "mmnist")
    dataset = build(tmp_path, hold_out)
    train, val, test = (glyph_numbers(split) for split in (dataset.train, dataset.val, dataset.test))
    assert test == set(range(1000, 1012))
    assert len(train) == (32 if hold_out else 40)
    assert not train & test
    if hold_out:
        assert train | val == set(range(40))
        assert not train & val
    else:
        assert val == test
    assert "test clips generated" in dataset.report


def test_public_test_clips_are_used_where_they_are(tmp_path):
    mmnist.write(tmp_path / "mnist", clips=9)
    dataset = build(tmp_path)
    assert len(dataset.test) == 9
    assert "published ones of mnist_test_seq.npy" in dataset.report
    raw = np.load(tmp_path / "mnist" / mmnist.CLIPS)
    clips = pickle.loads(pickle.dumps(dataset.test)).clips(np.array([7, 2]), 0).numpy()
    for clip, number in zip(clips, (7, 2), strict=True):
        np.testing.assert_array_equal(np.rint(clip[:, 0] * 255), raw[:, number])
    other = build(tmp_path, shape=SHAPE.model_copy(update={"t_out": 30}))
    assert "test clips generated" in other.report
    assert dataset.fingerprint != other.fingerprint


def test_shorter_clips_take_the_first_frames(tmp_path):
    mmnist.write(tmp_path, clips=3)
    dataset = build(tmp_path, shape=SHAPE.model_copy(update={"t_out": 4}))
    raw = np.load(tmp_path / mmnist.CLIPS)
    np.testing.assert_array_equal(np.rint(dataset.test.clips(np.array([1]), 0).numpy()[0, :, 0] * 255), raw[:14, 1])


def test_damaged_test_clips_are_refused(tmp_path):
    mmnist.write(tmp_path, clips=3)
    path = tmp_path / mmnist.CLIPS
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(UserError, match=r"mnist_test_seq\.npy cannot be read as npy \(cut short"):
        build(tmp_path)


def test_a_relative_with_the_same_name_is_refused(tmp_path):
    mmnist.write(tmp_path)
    for name in ("mmnist", "mfmnist"):
        with pytest.raises(UserError, match=r"is not the file it should be.*md5.*--set dataset\.md5=null"):
            build(tmp_path, name=name, md5=load_benchmark(name).dataset.options["md5"])


def test_unzipped_file_is_read(tmp_path):
    path = tmp_path / "images"
    path.write_bytes(mmnist.idx(mmnist.images(3, 5)))
    np.testing.assert_array_equal(read_idx_images(path), mmnist.images(3, 5))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda raw: gzip.compress(raw)[:-20], "cannot be unpacked"),
        (lambda raw: raw[:-1], r"announces 3 images of 28×28 and holds 2351 bytes"),
        (lambda raw: b"<html>404</html>", "is not an idx file of images"),
        (lambda raw: b"", "it begins with nothing"),
    ],
)
def test_damaged_idx(tmp_path, damage, message):
    path = tmp_path / "images.gz"
    path.write_bytes(damage(mmnist.idx(mmnist.images(3, 0))))
    with pytest.raises(UserError, match=message):
        read_idx_images(path)


def test_missing_files_name_the_source(tmp_path):
    with pytest.raises(UserError, match="stbench data get mmnist"):
        build(tmp_path)


def test_too_few_images_to_hold_out(tmp_path):
    mmnist.write(tmp_path)
    with pytest.raises(UserError, match="holds 40 images, too few to hold out 40"):
        build(tmp_path, val_images=40)


def test_shrinking_averages_blocks():
    images = mmnist.images(2, 0)
    small = shrink(images, 7)
    for y, x in np.ndindex(7, 7):
        block = images[1, 4 * y : 4 * y + 4, 4 * x : 4 * x + 4]
        assert abs(float(small[1, y, x]) - block.mean()) <= 0.5
    with pytest.raises(UserError, match=r"glyph_size 12.*\[1, 2, 4, 7, 14, 28\]"):
        shrink(images, 12)


def test_idx_and_files_go_together():
    with pytest.raises(UserError, match="go together"):
        build(None, files=[])


def test_real_mnist(shared_dir):
    benchmark = load_benchmark("mmnist")
    dataset = open_dataset("mmnist", benchmark.dataset, benchmark.shape, (shared_dir / "data",), True)
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (10_000, 1_000, 10_000)
    assert "54000 glyphs for training, 6000 for validation, 10000 for test" in dataset.report
    train = {glyph.tobytes() for glyph in dataset.train._glyphs}
    assert not train & {glyph.tobytes() for glyph in dataset.val._glyphs}
    assert not train & {glyph.tobytes() for glyph in dataset.test._glyphs}


def test_mnist_is_not_taken_for_fashion_mnist(shared_dir):
    benchmark = load_benchmark("mfmnist")
    with pytest.raises(UserError, match="is not the file it should be"):
        open_dataset("mfmnist", benchmark.dataset, benchmark.shape, (shared_dir / "data" / "mnist",), True)
