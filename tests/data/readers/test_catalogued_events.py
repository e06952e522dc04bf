"""SEVIR's events: which are kept, which split they are in, and where their windows begin."""

import h5py
import numpy as np
import pytest

from stbench.data import dataset_spec, get_protocol, load_benchmark, open_dataset
from stbench.data.dataset import reader_options
from stbench.data.readers.catalogued_events import select
from stbench.errors import UserError
from stbench.schema import ClipShape
from tests.fixtures import sevir


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("sevir")
    sevir.write(made)
    return made


def events(name, folder):
    table, note = select(folder / "CATALOG.csv", reader_options(name, load_benchmark(name).dataset), name)
    return dict(zip(table["id"], table["split"], strict=True)), note


def test_dates_are_strict_on_the_left_and_defects_are_left_out(folder):
    found, note = events("sevir", folder)
    assert found == {"S1": "train", "S2": "train", "S3": "train", "S4": "val", "S5": "val", "S6": "test", "S7": "test"}
    assert note == "; left out 1 with missing pixels, 2 listed more than once"


def test_a_tenth_of_training_is_held_out_where_no_date_says_so(folder):
    found, _ = events("sevir_prediff", folder)
    assert sorted(found.values()).count("val") == 1
    assert [name for name, split in found.items() if split == "test"] == ["S6", "S7"]


@pytest.mark.parametrize(
    ("name", "starts", "step"), [("sevir", [0, 12, 24], 1), ("sevir_diffcast", [0, 5, 10, 15, 20], 1),
                                 ("sevir_prediff", [0, 6, 12], 2)]
)  # fmt: skip
def test_windows_of_an_event_in_its_own_pixels(folder, name, starts, step):
    benchmark = load_benchmark(name)
    shape = benchmark.shape.model_dump() | {"height": 48, "width": 48}
    spec = dataset_spec(benchmark, get_protocol(benchmark, "paper"))
    spec = spec.model_copy(update={"options": {**spec.options, "pool": 1}})
    dataset = open_dataset(name, spec, ClipShape(**shape), (folder,), True)
    assert len(dataset.test) == 2 * len(starts)  # samples are a multiple of the events kept
    with h5py.File(folder / "data" / "vil/2019/SEVIR_VIL_STORMEVENTS_2019_0101_1231.h5") as file:
        event = file["vil"][3]  # S6
    clips = dataset.test.clips(np.arange(len(starts)), 0).numpy() * 255
    for clip, start in zip(clips, starts, strict=True):
        truth = event[..., ::step][..., start : start + len(clip)].transpose(2, 0, 1)
        assert np.array_equal(np.rint(clip[:, 0]), truth)


def test_blocks_of_pixels_are_averaged(folder):
    benchmark = load_benchmark("sevir_prediff")
    shape = ClipShape(**(benchmark.shape.model_dump() | {"height": 16, "width": 16}))
    dataset = open_dataset("sevir_prediff", benchmark.dataset, shape, (folder,), True)
    with h5py.File(folder / "data" / "vil/2019/SEVIR_VIL_STORMEVENTS_2019_0101_1231.h5") as file:
        frame = file["vil"][3][..., 0].astype(float)
    truth = np.array([[frame[3 * i : 3 * i + 3, 3 * j : 3 * j + 3].mean() for j in range(16)] for i in range(16)])
    seen = dataset.test.clips(np.array([0]), 0).numpy()[0, 0, 0] * 255
    assert np.abs(seen - truth).max() <= 0.5 + 1e-4


def test_damage_is_named(folder, tmp_path):
    sevir.write(tmp_path)
    path = tmp_path / "CATALOG.csv"
    path.write_text(path.read_text().replace("pct_missing", "missing", 1))
    with pytest.raises(UserError, match="lacks the column 'pct_missing'"):
        events("sevir", tmp_path)
    next(tmp_path.rglob("*2018*.h5")).unlink()
    sevir_csv = (folder / "CATALOG.csv").read_text()
    path.write_text(sevir_csv)
    benchmark = load_benchmark("sevir")
    with pytest.raises(UserError, match="is missing, which the catalogue names"):
        open_dataset("sevir", benchmark.dataset, benchmark.shape, (tmp_path,), True)
