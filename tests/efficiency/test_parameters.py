"""Live, dead and shared parameters."""

import pytest

from stbench.efficiency.parameters import count_parameters
from tests.efficiency.subjects import Untidy, planned, registered

LIVE = {"tau": 9_545_442, "predrnn": 23_658_496, "phydnet": 3_092_309, "convlstm": 11_572_224}
"""Of specs/methods.md: ConvLSTM's published 14.98 M include 3.41 M that its forward never uses."""


def test_dead_and_shared_are_named() -> None:
    with registered("untidy", Untidy) as spec:
        count = count_parameters(spec)
    kernel = 2 * 2 * 9
    assert (count.live, count.dead, count.shared) == (kernel + 4, 5 * 7 + 7, kernel)
    assert count.dead_names == ("relic.weight", "relic.bias")
    assert count.shared_names == ("first.weight",)
    assert count.total == count.live + count.dead


@pytest.mark.parametrize("name", LIVE)
def test_live_parameters(name: str) -> None:
    count = count_parameters(planned(name)[0])
    assert (count.live, count.dead, count.shared) == (LIVE[name], 0, 0)


def test_nothing_to_train() -> None:
    assert count_parameters(planned("persistence")[0]).total == 0
