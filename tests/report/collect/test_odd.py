"""A run that passes every check and still cannot be shown is named and left out."""

from pathlib import Path

import numpy as np
import pytest

from stbench.report.collect.odd import without_odd
from stbench.report.collect.records import Collected, collect
from tests.report.runs import make_run, make_spec


def names_of(shown: Collected) -> list[str]:
    methods = [record.spec.method for record in shown.records]
    if "odd" in methods:
        raise KeyError("torn")
    return methods


def test_an_odd_run_is_left_out_with_its_reason(tmp_path: Path) -> None:
    for method in ("alpha", "odd"):
        make_run(tmp_path, make_spec(method), np.full((4, 3), 2.0))
    seen: list[Collected] = []

    def make(shown: Collected) -> list[str]:
        seen.append(shown)
        return names_of(shown)

    assert without_odd(collect([tmp_path]), make, names_of) == ["alpha"]
    (reason,) = seen[-1].left_out.values()
    assert reason == "cannot be shown (KeyError: 'torn')"


def test_a_fault_of_the_report_itself_is_raised(tmp_path: Path) -> None:
    make_run(tmp_path, make_spec("odd"), np.full((4, 3), 2.0))
    with pytest.raises(KeyError):
        without_odd(collect([tmp_path]), names_of, names_of)
