"""KITTI's hickle files as h5py writes them in the two layouts of hickle 2 and 3."""

import h5py
import numpy as np
import pytest

from stbench.data.formats.open import open_recordings
from stbench.errors import UserError

NAMES = ["city-2011_09_26_drive_0001_sync"] * 3 + ["road-2011_09_26_drive_0015_sync"] * 70
FRAMES = np.random.default_rng(0).integers(0, 256, (73, 4, 5, 3), dtype=np.uint8)


def write(folder, grouped=False, names=NAMES, frames=FRAMES):
    with h5py.File(folder / "X_train.hkl", "w") as file:
        file["data_0"] = frames
        file.attrs["CLASS"] = b"hickle"
    with h5py.File(folder / "sources_train.hkl", "w") as file:
        if grouped:
            for number, name in enumerate(names):
                file[f"data_0/data_{number}"] = name
        else:
            file["data_0"] = np.array([name.encode() for name in names])


def opened(folder):
    return open_recordings(sorted(folder.glob("*.hkl")), folder)


@pytest.mark.parametrize("grouped", [False, True])
def test_a_recording_for_each_name(tmp_path, grouped):
    write(tmp_path, grouped)
    city, road = opened(tmp_path)
    assert (city.name, city.length, city.frame) == ("./city-2011_09_26_drive_0001_sync", 3, (4, 5, 3))
    assert road.length == 70
    assert (np.concatenate(list(road.blocks())) == FRAMES[3:]).all()
    assert (np.concatenate(list(city.blocks())) == FRAMES[:3]).all()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"names": NAMES[:-1]}, "holds 73 frames and sources_train.hkl 72 names"),
        ({"names": [*NAMES[:-1], NAMES[0]]}, "do not follow each other"),
        ({"frames": FRAMES[:, 0]}, "holds 0 arrays"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, change, expected):
    write(tmp_path, **change)
    with pytest.raises(UserError, match=expected):
        opened(tmp_path)


def test_a_missing_partner_and_damage(tmp_path):
    write(tmp_path)
    (tmp_path / "sources_train.hkl").unlink()
    with pytest.raises(UserError, match="is missing, which names the recording"):
        opened(tmp_path)
    (tmp_path / "sources_train.hkl").write_bytes(b"no")
    with pytest.raises(UserError, match=r"sources_train\.hkl"):
        opened(tmp_path)
