"""The real TaxiNYC files beside the repository."""

import h5py
import numpy as np
import pytest

from stbench.data import load_benchmark, open_dataset
from stbench.data.formats.clean import Clean
from stbench.data.formats.flow import Calendar, open_flow_h5

BLOCKS = {10: (5904, 8112), 11: (5928, 8136), 12: (5928, 8136), 13: (6144, 8352), 14: (7584, 9792)}
DUPLICATED = {10: 96, 11: 144, 12: 96, 13: 576, 14: 3456}


@pytest.mark.parametrize("year", BLOCKS)
def test_the_clean_block_is_october_to_december(shared_dir, year):
    path = shared_dir / "data" / "taxinyc" / f"NYC{year}_Taxi_M16x8_T60_InOut.h5"
    file = open_flow_h5(path, (2, 16, 8), Calendar(24, 0), Clean(24, incomplete_days=True, longest_block=True))
    frames = np.concatenate(list(file.recording.blocks())).transpose(0, 3, 1, 2)
    start, stop = BLOCKS[year]
    with h5py.File(path) as raw:
        np.testing.assert_array_equal(frames, raw["data"][start:stop].astype(np.float32))
        assert raw["date"][start] == f"20{year}100100".encode()
    assert file.recording.length == 2208
    assert file.dropped.duplicated == DUPLICATED[year]


@pytest.mark.parametrize("hold_out", [True, False])
def test_splits(shared_dir, hold_out):
    benchmark = load_benchmark("taxinyc")
    dataset = open_dataset("taxinyc", benchmark.dataset, benchmark.shape, (shared_dir / "data",), hold_out)
    windows = 2208 - 7
    test, val = round(0.2 * windows), round(0.1 * windows)
    assert len(dataset.test) == 5 * test
    assert len(dataset.val) == 5 * ((val - 7) if hold_out else test)
    assert len(dataset.train) == 5 * (windows - test - val * hold_out - 7)
    assert "dropped 4368 duplicated slots" in dataset.report
    train, held = (np.unique(split.windows_NT) for split in (dataset.train, dataset.test))
    assert not np.isin(train, held).any()
    counts = dataset.to_physical(dataset.train.clips(np.arange(len(dataset.train)), 0))
    assert (counts - counts.round()).abs().max() < 0.01
    assert counts.max().round() == 17082
