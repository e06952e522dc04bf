"""The resolved plan of every shipped benchmark × protocol × method is what it was when it was recorded."""

from collections import defaultdict

import pytest

from tests.sweep.plans import RECORDED, plan_lines

BY_METHOD: defaultdict[str, list[str]] = defaultdict(list)
for line in RECORDED.read_text().splitlines():
    BY_METHOD[line.split()[3]].append(line)


@pytest.mark.parametrize("method", sorted(BY_METHOD))
def test_plans_are_as_recorded(method: str) -> None:
    recorded = {line.rsplit(" ", 1)[0]: line for line in BY_METHOD[method]}
    resolved = {line.rsplit(" ", 1)[0]: line for line in plan_lines([method])}
    assert {key: resolved.get(key) for key in recorded} == recorded
