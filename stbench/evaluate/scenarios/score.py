"""Scoring of a finished run in a scenario; results are stored in the run folder, apart from its ordinary scores."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from stbench.data import ClipLoader, Splits
from stbench.data.loader import evenly_spaced
from stbench.errors import UserError
from stbench.evaluate.overlap import overlap
from stbench.evaluate.scenarios.record import (
    LOCK,
    CaseResult,
    ScenarioResult,
    folder_of,
    new_files,
    write_scenario,
)
from stbench.evaluate.scenarios.scenario import Case, Finished, Scenario
from stbench.evaluate.score import NotFiniteError, Scorer, Scores
from stbench.nn import Method
from stbench.schema import RunSpec
from stbench.schema.atomic import lock
from stbench.schema.folder import RunFolder
from stbench.train.engine import Engine


def score_scenario(
    scenario: Scenario,
    spec: RunSpec,
    dataset: Splits,
    folder: RunFolder,
    method: Method,
    engine: Engine,
    data_dirs: tuple[Path, ...] = (),
    on_case: Callable[[str], None] = lambda _label: None,
) -> ScenarioResult:
    """Score every case, then replace earlier results of this scenario in one step.

    Raises:
        UserError: the run's data do not allow the scenario.
    """
    scored = evenly_spaced(len(dataset.test), spec.evaluation.test_clips)
    cases = scenario.cases(Finished(spec, dataset, scored, data_dirs))
    named = (scenario.name, scenario.kind, scenario.axis)
    return score_cases(named, cases, spec, len(scored), folder, method, engine, on_case)


def score_cases(
    named: tuple[str, str, str],
    cases: Sequence[Case],
    spec: RunSpec,
    of_clips: int,
    folder: RunFolder,
    method: Method,
    engine: Engine,
    on_case: Callable[[str], None] = lambda _label: None,
) -> ScenarioResult:
    """Score cases under a scenario's name, kind and axis, then replace earlier results in one step.

    Raises:
        UserError: another process scores the run in the same scenario.
    """
    name, kind, axis = named
    target = folder_of(folder, name)
    target.mkdir(parents=True, exist_ok=True)
    files = new_files()
    with lock(target / LOCK) as mine:
        if not mine:
            raise UserError(f"Another process scores {folder.path} in {name}. Repeat the command later.")
        try:
            results = []
            for number, case in enumerate(cases):
                on_case(case.label)
                own = RunFolder(target / files / f"case-{number}")
                own.path.mkdir(parents=True)
                results.append(_score(case, spec, method, engine, own, of_clips))
            result = ScenarioResult(
                name=name,
                kind=kind,
                axis=axis,
                run_id=spec.run_id,
                cases=tuple(results),
                files=files,
                finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
            )
        except BaseException:
            shutil.rmtree(target / files, ignore_errors=True)
            raise
        write_scenario(folder, result)
    return result


def _score(case: Case, spec: RunSpec, method: Method, engine: Engine, folder: RunFolder, of_clips: int) -> CaseResult:
    loader = ClipLoader(case.dataset.test, spec.evaluation.batch_size, shuffle=False)
    clip_truth = spec.selection == "test"  # as the run itself was scored
    scorer = Scorer(case.dataset, loader, spec.evaluation, spec.data_range, engine, clip_truth=clip_truth)
    try:
        scores = scorer.score(case.wrap(method), folder)
    except NotFiniteError as error:
        missing = dict.fromkeys(spec.evaluation.listed, str(error))
        scores = Scores({}, len(case.dataset.test), missing, outside=0.0, skimage_difference=None, seconds=0.0)
    return CaseResult(
        label=case.label,
        value=case.value,
        horizon=case.t_out,
        clips=scores.clips,
        of_clips=of_clips,
        overlap=overlap(case.dataset.test, np.arange(len(case.dataset.test), dtype=np.int64)),
        metrics=scores.metrics,
        unavailable=scores.unavailable,
        rank_histogram=scores.rank_histogram,
    )
