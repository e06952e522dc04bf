"""The pictures of a dataset: what is drawn where, colours, and captions."""

import numpy as np
import pytest
from PIL import Image

from stbench.data import dataset_spec, open_dataset
from stbench.data.benchmarks.own_data import CustomOptions, custom_benchmark
from stbench.data.inspect.preview import FUTURE, GAP, LINE, contact_sheet, moment, preview_rows, write_preview
from stbench.errors import UserError


def opened(path, **options):
    benchmark = custom_benchmark(str(path), CustomOptions(**options))
    spec = dataset_spec(benchmark, benchmark.protocols["paper"])
    return open_dataset(benchmark.name, spec, benchmark.shape, (), True), benchmark


def test_grey_bytes_stay_grey_and_upright(tmp_path):
    film = np.zeros((100, 16, 24), np.uint8)
    film[:, :4] = 200  # light on top
    film[:, -1, 0] = np.arange(100)
    np.save(tmp_path / "a.npy", film)
    dataset, benchmark = opened(tmp_path, t_in=3, t_out=2)
    rows = preview_rows(dataset, benchmark)
    assert [row.split for row in rows] == ["train", "train", "val", "val", "test", "test"]
    factor = 96 // 24
    for row in rows:
        assert row.frames.shape == (5, 16 * factor, 24 * factor, 3)
        assert (row.frames[:, 0] == 200).all()
        assert row.frames[:, 8 * factor].max() == 0
    first = rows[2].frames[:, -1, 0, 0]
    np.testing.assert_array_equal(first, 70 + np.arange(5))  # the first clip of validation, in order
    assert rows[2].label == "val clip 0: 0 to 200 grey levels"


def test_quantities_are_coloured_by_the_range_of_the_clip(tmp_path):
    field = np.random.default_rng(0).uniform(100, 15000, (90, 8, 8, 2)).astype(np.float32)
    times = (np.datetime64("2019-03-01T00", "h") + np.arange(90)).astype("M8[ns]").astype(np.int64)
    np.savez(tmp_path / "a.npz", x=field, time=times)
    dataset, benchmark = opened(tmp_path, t_in=2, t_out=2)
    row = preview_rows(dataset, benchmark)[0]
    shown = field[:4, :, :, 0]
    expected = f"from 2019-03-01 00:00: {shown.min():.4g} to {shown.max():.0f} file units, channel 1 of 2"
    assert row.label == f"train clip 0 {expected}"
    dark, bright = (np.unravel_index(place, shown.shape) for place in (shown.argmin(), shown.argmax()))
    pixels = row.frames[:, ::12, ::12]
    assert pixels[dark].tolist() == [68, 1, 84]  # the ends of viridis
    assert pixels[bright].tolist() == [253, 231, 37]


def test_large_frames_are_shrunk_and_long_clips_thinned(tmp_path):
    film = np.random.default_rng(0).integers(0, 255, (220, 120, 400, 3), dtype=np.uint8)
    np.save(tmp_path / "a.npy", film)
    dataset, benchmark = opened(tmp_path, t_in=9, t_out=11)
    rows = preview_rows(dataset, benchmark)
    assert rows[0].frames.shape == (20, 48, 160, 3)
    sheet = contact_sheet(rows, 9, "title")
    assert sheet.width == 12 * (160 + GAP) + 3 * GAP  # six frames of the past, six of the future
    pixels = np.asarray(sheet)
    top = 3 * LINE
    last = 11 * (160 + GAP) + 2 * GAP
    np.testing.assert_array_equal(pixels[top : top + 48, :160], rows[0].frames[0])
    np.testing.assert_array_equal(pixels[top : top + 48, last : last + 160], rows[0].frames[19])
    bar = Image.new("RGB", (1, 1), FUTURE).getpixel((0, 0))
    assert (pixels[top : top + 48, 6 * (160 + GAP) + GAP // 2] == bar).all()


def test_the_animation_shows_every_frame(tmp_path):
    film = np.zeros((100, 16, 8), np.uint8)
    film[:] = np.arange(100)[:, None, None]
    np.save(tmp_path / "a.npy", film)
    dataset, benchmark = opened(tmp_path, t_in=3, t_out=2)
    sheet, gif = write_preview(dataset, benchmark, tmp_path / "out")
    with Image.open(sheet) as image:
        assert image.format == "PNG"
    with Image.open(gif) as image:
        assert image.n_frames == 5
    rows = preview_rows(dataset, benchmark)
    shown = np.asarray(moment(rows, 4, 3))
    assert shown[LINE + 5, 5].tolist() == [4, 4, 4]
    assert not list((tmp_path / "out").glob("*tmp*"))


def test_a_folder_that_cannot_be_written(tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((90, 8, 8)))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"Cannot write to .*file.*--out"):
        write_preview(*opened(tmp_path / "a.npy"), tmp_path / "file")
