"""The suite as a parametrised pytest test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stbench.conformance.outcome import Check, Status
from stbench.conformance.subject import SHAPES, Subject
from stbench.conformance.suite import CHECKS, run_check
from stbench.nn import Method
from stbench.schema import ClipShape


def conformance_tests(
    method: str | type[Method],
    *,
    shapes: Sequence[ClipShape] = SHAPES,
    settings: Mapping[str, Any] | None = None,
    checks: Sequence[Check] = CHECKS,
) -> Callable[[Check], None]:
    """Make a pytest test of the suite, parametrised over the checks.

    Write ``test_conformance = conformance_tests(MyMethod)`` in a test file. Arguments are those of
    :func:`stbench.conformance.check_method`. A check that does not apply to the method is skipped.
    """
    import pytest

    subject = Subject.of(method, shapes, settings)

    @pytest.mark.parametrize("check", checks, ids=lambda check: check.name)
    def test_conformance(check: Check) -> None:
        outcome = run_check(check, subject)
        if outcome.status is Status.NOT_APPLICABLE:
            pytest.skip(outcome.seen)
        assert outcome.status is Status.PASSED, f"{subject.name}: {outcome}"

    return test_conformance
