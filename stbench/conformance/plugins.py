"""Conformance of plugins other than methods: metrics, optimisers, schedules, loggers, executors and scenarios."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from stbench.conformance import executors, loggers, metrics, optimizers, scenarios, schedules
from stbench.conformance.outcome import Check, NotApplicableError, Outcome, Status, ViolationError
from stbench.conformance.suite import Verdict
from stbench.evaluate.scenarios.scenario import SCENARIOS
from stbench.events import LOGGERS
from stbench.metrics import METRICS
from stbench.registry import Registry
from stbench.schema import OPTIMIZERS, SCHEDULES
from stbench.sweep.executors import EXECUTORS


@dataclass(frozen=True)
class Kind:
    """A kind of plugin and its checks; ``subject`` builds their subject from a plugin and its name."""

    registry: Registry[Any]
    subject: Callable[[str, Any], Any]
    checks: Sequence[Check]


KINDS = {
    "metrics": Kind(METRICS, metrics.MetricSubject, metrics.CHECKS),
    "optimizers": Kind(OPTIMIZERS, optimizers.OptimizerSubject, optimizers.CHECKS),
    "schedules": Kind(SCHEDULES, schedules.ScheduleSubject, schedules.CHECKS),
    "loggers": Kind(LOGGERS, loggers.LoggerSubject, loggers.CHECKS),
    "executors": Kind(EXECUTORS, executors.ExecutorSubject, executors.CHECKS),
    "scenarios": Kind(SCENARIOS, scenarios.ScenarioSubject, scenarios.CHECKS),
}


def check_plugin(kind: str, name: str) -> Verdict:
    """Run the checks of a kind (a key of ``KINDS``) on a registered plugin.

    Raises:
        UserError: the name is unknown, or the plugin cannot be loaded.
    """
    suite = KINDS[kind]
    subject = suite.subject(name, suite.registry.get(name))
    return Verdict(name, tuple(_run(check, subject) for check in suite.checks))


def _run(check: Check, subject: Any) -> Outcome:
    started = time.monotonic()
    with torch.random.fork_rng(devices=[]):
        outcome = _outcome(check, subject)
    return replace(outcome, seconds=time.monotonic() - started)


def _outcome(check: Check, subject: Any) -> Outcome:
    try:
        check.run(subject)
    except NotApplicableError as reason:
        return Outcome(check.name, Status.NOT_APPLICABLE, seen=str(reason))
    except ViolationError as broken:
        return Outcome(check.name, Status.FAILED, broken.expected, broken.seen, broken.cause)
    except Exception as error:  # a plugin may raise anything
        seen = f"{type(error).__name__}: {error}"
        return Outcome(check.name, Status.FAILED, check.promise, seen, check.crash_cause)
    return Outcome(check.name, Status.PASSED)
