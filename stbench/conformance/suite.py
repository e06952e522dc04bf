"""The suite: all checks on one method."""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from stbench.conformance import execution, prediction, training
from stbench.conformance.outcome import Check, NotApplicableError, Outcome, Status, ViolationError
from stbench.conformance.subject import SHAPES, Subject
from stbench.errors import UserError
from stbench.nn import Method
from stbench.schema import ClipShape

CHECKS: tuple[Check, ...] = (
    prediction.shapes,
    prediction.lengths,
    prediction.inputs_untouched,
    prediction.batch_independence,
    prediction.dates,
    prediction.state_dict_round_trip,
    prediction.target_not_seen,
    prediction.no_carried_state,
    training.losses,
    training.gradients,
    training.seed_determinism,
    training.loss_depends_on_target,
    training.missing_cells,
    training.overfits_one_batch,
    execution.autocast,
    execution.data_parallel,
)


@dataclass(frozen=True)
class Verdict:
    """Outcomes of all checks for one method."""

    method: str
    outcomes: tuple[Outcome, ...]

    @property
    def passed(self) -> bool:
        """True if no check failed."""
        return not self.failures

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """Outcomes of failed checks."""
        return tuple(outcome for outcome in self.outcomes if outcome.status is Status.FAILED)


def check_method(
    method: str | type[Method],
    *,
    shapes: Sequence[ClipShape] = SHAPES,
    settings: Mapping[str, Any] | None = None,
    checks: Sequence[Check] = CHECKS,
) -> Verdict:
    """Run the suite on a method.

    The data-parallel check starts processes: a script that calls this needs ``if __name__ == "__main__":``.

    Args:
        method: a registered name (``tau``, ``tau:no_sa``) or a class.
        shapes: every check runs on the first; the others test other lengths.
        settings: hyperparameters that override the class's ``small``.
        checks: the checks to run.

    Raises:
        UserError: the name or a variant is unknown.
    """
    subject = Subject.of(method, shapes, settings)
    return Verdict(subject.name, tuple(run_check(one, subject) for one in checks))


def run_check(check: Check, subject: Subject) -> Outcome:
    """Run one check; an exception of the method becomes the outcome. Restores torch's random state."""
    started = time.monotonic()
    with torch.random.fork_rng(devices=[]):
        outcome = _outcome(check, subject)
    return replace(outcome, seconds=time.monotonic() - started)


def _outcome(check: Check, subject: Subject) -> Outcome:
    try:
        reason = subject.skip(subject.shape)
        if reason is not None:
            return Outcome(check.name, Status.NOT_APPLICABLE, seen=f"skipped at this shape: {reason}")
        if check.needs_training and not subject.build().trainable:
            return Outcome(check.name, Status.NOT_APPLICABLE, seen="nothing to train")
        check.run(subject)
    except NotApplicableError as reason:
        return Outcome(check.name, Status.NOT_APPLICABLE, seen=str(reason))
    except ViolationError as broken:
        return Outcome(check.name, Status.FAILED, broken.expected, broken.seen, broken.cause)
    except UserError as error:
        cause = "the method rejects these shapes or settings: give others, or declare cheap ones in `small`"
        return Outcome(check.name, Status.FAILED, check.promise, str(error), cause)
    except Exception as error:
        seen = f"{_where(error)}{type(error).__name__}: {error}"
        return Outcome(check.name, Status.FAILED, check.promise, seen, check.crash_cause)
    return Outcome(check.name, Status.PASSED)


def _where(error: Exception) -> str:
    """Return the innermost line outside installed packages, as ``file:line: ``."""
    own = [f for f in traceback.extract_tb(error.__traceback__) if "site-packages" not in f.filename]
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}: " if own else ""
