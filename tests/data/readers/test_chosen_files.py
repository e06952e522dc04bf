"""The files a run was planned with are the files it reads, also after the folder has changed or moved."""

import numpy as np
import pytest

from stbench.data import dataset_spec, open_dataset
from stbench.data.benchmarks.folders import ENVIRONMENT_VARIABLE
from stbench.data.benchmarks.own_data import CustomOptions, custom_benchmark
from stbench.errors import UserError


@pytest.fixture(autouse=True)
def no_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "nothing"))


def planned(path):
    benchmark = custom_benchmark(str(path), CustomOptions(t_in=2, t_out=2))
    return benchmark, dataset_spec(benchmark, benchmark.protocols["paper"])


def opened(plan, *dirs):
    benchmark, spec = plan
    return open_dataset(benchmark.name, spec, benchmark.shape, dirs, True)


def write(folder, *names, seed=0):
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        values = np.random.default_rng(seed + number).integers(0, 255, (40, 8, 8), dtype=np.uint8)
        np.save(folder / "x.npy", values)
        (folder / "x.npy").rename(folder / name)


def test_files_that_join_later_are_not_read(tmp_path):
    write(tmp_path / "mine", "a.npy", "b.npy")
    plan = planned(tmp_path / "mine")
    before = opened(plan)
    write(tmp_path / "mine", "c.npy", ".a.npy", seed=9)
    write(tmp_path / "mine/results/runs/one", "samples.npy")
    after = opened(plan)
    assert after.fingerprint == before.fingerprint
    assert len(after.train) == len(before.train)


@pytest.mark.parametrize("name", ["run[1].npy", "a (copy).npy", "données.npy", "UPPER.NPY", "a*b?.npy", "²3.npy"])
def test_names_of_any_kind(tmp_path, name):
    write(tmp_path, name)
    assert len(opened(planned(tmp_path / name)).train) == 28 - 3
    assert len(opened(planned(tmp_path)).train) == 28 - 3


def test_data_that_are_gone_are_not_replaced_by_their_surroundings(tmp_path):
    write(tmp_path / "proj/mine", "a.npy", "b.npy")
    write(tmp_path / "proj/private", "a.npy", "c.npy", seed=5)
    plan = planned(tmp_path / "proj/mine")
    one = planned(tmp_path / "proj/mine/b.npy")
    before = opened(plan).fingerprint
    (tmp_path / "proj/mine").rename(tmp_path / "moved")
    for gone in (plan, one):
        with pytest.raises(UserError, match=r"The data of this run are gone: .*proj/mine.* is not there .*--data-dir"):
            opened(gone)
    assert opened(plan, tmp_path / "moved").fingerprint == before
    assert len(opened(one, tmp_path / "moved").train) == 28 - 3
    (tmp_path / "moved/b.npy").unlink()
    with pytest.raises(UserError, match="are gone"):
        opened(plan, tmp_path / "moved")


def test_a_data_dir_on_the_command_line_comes_before_the_recorded_place(tmp_path):
    write(tmp_path / "mine", "a.npy")
    plan = planned(tmp_path / "mine")
    write(tmp_path / "new/mine", "a.npy", seed=7)
    assert opened(plan, tmp_path / "new").fingerprint != opened(plan).fingerprint
    (tmp_path / "mine/a.npy").unlink()
    with pytest.raises(UserError, match=r"1 of the 1 data files are gone: .*mine/a\.npy"):
        opened(plan)


def test_specs_of_earlier_versions_have_patterns_only(tmp_path):
    write(tmp_path / "mine", "run[1].npy", "b.npy")
    for place, train in ((tmp_path / "mine", 50), (tmp_path / "mine/run[1].npy", 25)):
        benchmark, spec = planned(place)
        options = {key: value for key, value in spec.options.items() if key != "listing"}
        assert len(opened((benchmark, spec.model_copy(update={"options": options}))).train) == train
