"""Deliberately broken plugins: the intended check fails, and all other failures are listed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from stbench.conformance import CHECKS, Status, Subject, check_method, run_check
from stbench.conformance.locate import methods_in_file

FOLDER = Path(__file__).parent / "broken"
SOUND = FOLDER / "tiny.py"
BROKEN = sorted(path for path in FOLDER.glob("*.py") if path != SOUND)


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_a_broken_plugin_is_caught_by_the_check_meant_for_it(path: Path) -> None:
    (method,) = methods_in_file(path)
    module = sys.modules[method.__module__]
    verdict = check_method(method)
    failed = {outcome.check: outcome for outcome in verdict.failures}
    assert module.CAUGHT_BY in failed
    assert set(failed) == {module.CAUGHT_BY} | getattr(module, "ALSO", set())
    outcome = failed[module.CAUGHT_BY]
    assert outcome.expected
    assert outcome.seen
    assert outcome.cause


def test_every_check_has_a_plugin_that_only_it_is_meant_for() -> None:
    meant = {sys.modules[methods_in_file(path)[0].__module__].CAUGHT_BY for path in BROKEN}
    assert meant == {check.name for check in CHECKS}


def test_the_sound_plugin_that_they_spoil_passes() -> None:
    (method,) = methods_in_file(SOUND)
    verdict = check_method(method)
    assert verdict.passed, "\n".join(map(str, verdict.failures))


def test_dead_parameters_are_named() -> None:
    (method,) = methods_in_file(FOLDER / "dead_parameters.py")
    check = next(check for check in CHECKS if check.name == "gradients")
    outcome = run_check(check, Subject.of(method))
    assert outcome.status is Status.FAILED
    assert "forgotten.bias, forgotten.weight" in outcome.seen
