"""Scalings learned from frames with missing values."""

import numpy as np
import pytest

from stbench.data.frame_cache.statistics import frame_statistics
from stbench.data.scaling import learn_scaling
from stbench.errors import UserError


@pytest.mark.parametrize("scale", ["minmax", "zscore"])
def test_frames_without_a_value_do_not_count(scale):
    frames = np.random.default_rng(0).normal(5, 2, (6, 2, 4, 5))
    whole = learn_scaling(frame_statistics(frames), scale, "toy")
    holed = np.insert(frames, [2, 6], np.nan, axis=0)
    found = learn_scaling(frame_statistics(holed), scale, "toy")
    assert found.offset == pytest.approx(whole.offset, rel=1e-12)
    assert found.scale == pytest.approx(whole.scale, rel=1e-12)


def test_a_channel_without_any_value_is_refused():
    frames = np.random.default_rng(0).normal(size=(3, 2, 4, 5))
    frames[:, 1] = np.nan
    with pytest.raises(UserError, match="channel 1 has no value in any training frame"):
        learn_scaling(frame_statistics(frames), "minmax", "toy")
