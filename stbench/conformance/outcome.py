"""What a check says: passed, failed (expected, seen, likely cause) or not applicable (why)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"


class ViolationError(Exception):
    """A broken promise: what was expected, what was seen, and what usually causes it."""

    def __init__(self, expected: str, seen: str, cause: str) -> None:
        super().__init__(f"expected {expected}; seen {seen}; likely cause: {cause}")
        self.expected = expected
        self.seen = seen
        self.cause = cause


class NotApplicableError(Exception):
    """The check does not concern this plugin; the message says why."""


@dataclass(frozen=True)
class Outcome:
    """How one check ended; ``seen`` holds the reason where it is not applicable."""

    check: str
    status: Status
    expected: str = ""
    seen: str = ""
    cause: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        if self.status is not Status.FAILED:
            return f"{self.check}: {self.status}{f': {self.seen}' if self.seen else ''}"
        return f"{self.check}: failed\n  expected: {self.expected}\n  seen: {self.seen}\n  likely cause: {self.cause}"


@dataclass(frozen=True)
class Check:
    """One promise of a plugin's contract.

    Attributes:
        run: raises :class:`ViolationError` or :class:`NotApplicableError`; its docstring states the promise.
        crash_cause: likely cause when the method raises an exception of its own during the check.
        needs_training: whether it concerns methods with parameters to train only.
    """

    run: Callable[[Any], None]
    crash_cause: str
    needs_training: bool

    @property
    def name(self) -> str:
        """The function's name."""
        return self.run.__name__

    @property
    def promise(self) -> str:
        """First paragraph of the function's docstring, on one line."""
        return " ".join((self.run.__doc__ or "").partition("\n\n")[0].split())


def check(*, crash_cause: str, needs_training: bool = False) -> Callable[[Callable[[Any], None]], Check]:
    """Make a :class:`Check` of a function."""
    return lambda run: Check(run, crash_cause, needs_training)
