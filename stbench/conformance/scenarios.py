"""Checks of scenarios, tried on a few clips that are generated in memory. Axes: B, T, C, H, W."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from stbench.conformance.outcome import Check, NotApplicableError, ViolationError, check
from stbench.conformance.sweeps import baseline_specs
from stbench.data import open_dataset
from stbench.data.loader import evenly_spaced
from stbench.errors import UserError
from stbench.evaluate.scenarios.scenario import Case, Finished, Scenario, read_scenario

CLIPS = 2


@dataclass(frozen=True)
class ScenarioSubject:
    """A scenario's record and its registered name."""

    name: str
    record: type[Scenario]

    def example(self) -> Scenario:
        """Return the scenario that its example asks for; without an example, the one with default options."""
        return read_scenario((self.record.example or self.name).replace("BENCHMARK", baseline_specs()[0].benchmark))

    def cases(self) -> Sequence[Case]:
        """Return the example's cases of a run of a baseline.

        Raises:
            NotApplicableError: the data of that run do not allow the scenario.
        """
        spec = baseline_specs()[0]
        dataset = open_dataset(spec.benchmark, spec.dataset, spec.shape, (), spec.selection == "validation")
        scored = evenly_spaced(len(dataset.test), spec.evaluation.test_clips)
        scenario = self.example()
        try:
            return scenario.cases(Finished(spec, dataset, scored))
        except UserError as reason:
            raise NotApplicableError(str(reason)) from reason


@check(crash_cause="an option has no default, and example is not set")
def declaration(subject: ScenarioSubject) -> None:
    """The kind is the registered name, and the name of a scenario asks for the same scenario."""
    scenario = subject.example()
    if scenario.kind != subject.name:
        raise ViolationError(f"kind {subject.name!r}, as registered", f"{scenario.kind!r}", "the two names differ")
    if read_scenario(scenario.name) != scenario:
        raise ViolationError(
            f"{scenario.name} asks for the same scenario", "for another one", "an option has no text form"
        )


@check(crash_cause="cases() fails on clips without dates")
def cases(subject: ScenarioSubject) -> None:
    """There are cases under different labels, each with clips of the run's past and the case's horizon."""
    shape = baseline_specs()[0].shape
    found = subject.cases()
    labels = [case.label for case in found]
    if not labels or len(set(labels)) < len(labels):
        raise ViolationError("cases with different labels", f"{labels}", "two cases share a label, or there is none")
    for case in found:
        if not len(case.dataset.test):
            raise ViolationError("test clips in every case", f"none in {case.label!r}", "raise UserError instead")
        wanted = (CLIPS, shape.t_in + case.t_out, *shape.frame)
        seen = tuple(case.dataset.test.clips(_some(case), 0).shape)
        if seen[1:] != wanted[1:]:
            raise ViolationError(f"clips {wanted} in {case.label!r}", f"{seen}", "t_out is not the case's horizon")


@check(crash_cause="clips() depends on what was asked before")
def draws(subject: ScenarioSubject) -> None:
    """A case shows the same clips whenever it is asked, so that every method is scored on the same ones."""
    tries = [subject.cases() for _ in range(2)]
    for first, second in zip(*tries, strict=True):
        for one, other in pairwise([first, first, second]):
            if not torch.equal(one.dataset.test.clips(_some(one), 0), other.dataset.test.clips(_some(other), 0)):
                raise ViolationError("the same clips again", f"others in {first.label!r}", "draws are not seeded")


def _some(case: Case) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.arange(min(CLIPS, len(case.dataset.test)), dtype=np.int64)


CHECKS: tuple[Check, ...] = (declaration, cases, draws)
