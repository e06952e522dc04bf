"""The resolved plan of every shipped benchmark × protocol × method equals the recorded one."""

from collections import defaultdict

import pytest

from tests.sweep.plans import RECORDED, plan_lines

BY_METHOD: defaultdict[str, list[str]] = defaultdict(list)
for line in RECORDED.read_text().splitlines():
    BY_METHOD[line.split()[3]].append(line)


def cases() -> list[object]:
    """Every recorded method; variants, which resolve like their method, take minutes and come with the slow tests."""
    return [pytest.param(name, marks=[pytest.mark.slow] if ":" in name else []) for name in sorted(BY_METHOD)]


@pytest.mark.parametrize("method", cases())
def test_plans_are_as_recorded(method: str) -> None:
    recorded = {line.rsplit(" ", 1)[0]: line for line in BY_METHOD[method]}
    resolved = {line.rsplit(" ", 1)[0]: line for line in plan_lines([method])}
    assert {key: resolved.get(key) for key in recorded} == recorded
