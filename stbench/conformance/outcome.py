"""Outcome of a check: passed, failed (expected, seen, likely cause) or not applicable (reason)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """Status of a finished check."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"


class ViolationError(Exception):
    """A violated contract: what was expected, what was seen, and the likely cause."""

    def __init__(self, expected: str, seen: str, cause: str) -> None:
        super().__init__(f"expected {expected}; seen {seen}; likely cause: {cause}")
        self.expected = expected
        self.seen = seen
        self.cause = cause


class NotApplicableError(Exception):
    """The check does not apply to this plugin; the message gives the reason."""


@dataclass(frozen=True)
class Outcome:
    """Outcome of one check; ``seen`` holds the reason if it is not applicable."""

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
    """One clause of a plugin's contract.

    Attributes:
        run: raises :class:`ViolationError` or :class:`NotApplicableError`; its docstring states the promise.
        crash_cause: likely cause if the plugin raises another exception during the check.
        needs_training: whether it applies only to methods with parameters to train.
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
        """What the plugin promises: the first paragraph of the function's docstring, on one line."""
        return " ".join((self.run.__doc__ or "").partition("\n\n")[0].split())


def check(*, crash_cause: str, needs_training: bool = False) -> Callable[[Callable[[Any], None]], Check]:
    """Make a :class:`Check` from a function."""
    return lambda run: Check(run, crash_cause, needs_training)
