"""Every shipped ``paper`` and ``legacy`` setting is the published configuration's, or a listed exception."""

from __future__ import annotations

from pathlib import Path

import pytest

from stbench.sweep.plan import Request, make_plan
from tests.methods.openstl_settings import DATASETS, METHODS, configurations, differences

EXCEPTIONS: dict[tuple[str, str, str], str] = {}
"""(benchmark, configuration, key) -> why the shipped setting is another."""

FEWEST = 18
"""Configurations that every benchmark has at least."""


@pytest.mark.parametrize("protocol", ["paper", "legacy"])
@pytest.mark.parametrize("benchmark", DATASETS)
def test_settings_are_the_published_ones(benchmark: str, protocol: str, shared_dir: Path) -> None:
    published = list(configurations(shared_dir, benchmark))
    assert len(published) >= FEWEST
    plan = make_plan(Request(methods=[c.method for c in published], benchmark=benchmark, protocol=protocol))
    specs = {spec.method: spec for spec in plan.specs}
    found = {(benchmark, c.name, key): pair for c in published for key, pair in differences(c, specs[c.method]).items()}
    listed = {exception for exception in EXCEPTIONS if exception[0] == benchmark}
    assert {where: pair for where, pair in found.items() if where not in listed} == {}
    assert listed <= found.keys(), "an exception that is none any more"


def test_exceptions_name_what_exists() -> None:
    assert all(benchmark in DATASETS and name in METHODS for benchmark, name, _ in EXCEPTIONS)
