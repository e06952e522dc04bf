"""Run folders that pass every check of their files and still cannot be shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from stbench.errors import UserError, first_line
from stbench.report.collect.records import Collected, RunRecord

T = TypeVar("T")


def without_odd(collected: Collected, make: Callable[[Collected], T], alone: Callable[[Collected], object]) -> T:
    """Make something of run folders; where that fails, find those that cannot be shown even alone and leave them out.

    Args:
        collected: the runs.
        make: makes a report.
        alone: the same, of one run and without lasting effect.

    Raises:
        Exception: what ``make`` raised, where every run can be shown alone or none can.
    """
    try:
        return make(collected)
    except (UserError, OSError):
        raise
    except Exception:
        reasons = [(record, _reason(record, alone)) for record in collected.records]
        shown = tuple(record for record, reason in reasons if not reason)
        if not shown or len(shown) == len(reasons):
            raise
        odd = {record.folder.path: reason for record, reason in reasons if reason}
        return make(Collected(shown, {**collected.left_out, **odd}))


def _reason(record: RunRecord, alone: Callable[[Collected], object]) -> str:
    """Why a run cannot be shown; empty where it can."""
    try:
        alone(Collected((record,), {}))
    except Exception as error:
        return f"cannot be shown ({type(error).__name__}: {first_line(error)})"
    return ""
