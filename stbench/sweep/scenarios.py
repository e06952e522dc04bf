"""Evaluation of finished runs in scenarios and as ensembles of seeds, without training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from stbench.data import Splits
from stbench.data.loader import evenly_spaced
from stbench.errors import UserError, first_line
from stbench.evaluate.predictor import load_best
from stbench.evaluate.scenarios.record import ScenarioResult
from stbench.evaluate.scenarios.scenario import Case, Scenario, with_test
from stbench.evaluate.scenarios.score import score_cases, score_scenario
from stbench.evaluate.scenarios.views import View
from stbench.metrics import expand
from stbench.nn import Method, Times
from stbench.schema.folder import RunFolder, finished_run, runs_below
from stbench.sweep.execute import Run, Workplace, splits_of
from stbench.train.engine import Engine

ENSEMBLE_METRICS = ("crps", "crps_fair", "spread_skill")


def run_folders(paths: Sequence[Path]) -> tuple[list[RunFolder], dict[Path, str]]:
    """Return the finished runs among run folders and folders of run folders, in order, and odd folders with the reason.

    Raises:
        UserError: there is no finished run, or a run folder that was named itself is not one.
    """
    found: list[RunFolder] = []
    odd: dict[Path, str] = {}
    for path in paths:
        root = runs_below(path)
        if (root / "spec.yaml").is_file():
            found.append(finished_run(root))
            continue
        for file in sorted(root.glob("*/result.json")) if root.is_dir() else []:
            folder = RunFolder(file.parent)
            try:
                if not folder.path.name.startswith(".") and folder.result().failure is None and folder.spec():
                    found.append(folder)
            except (UserError, OSError) as error:
                odd[folder.path] = first_line(error)
    if not found:
        raise UserError(
            "\n".join(
                [
                    f"No finished run in {', '.join(map(str, paths))}. 'stbench run' makes some.",
                    *(f"Left out: {path}: {reason}" for path, reason in odd.items()),
                ]
            )
        )
    return found, odd


def evaluate_scenario(
    folder: RunFolder,
    scenario: Scenario,
    data_dirs: tuple[Path, ...],
    engine: Engine,
    on_case: Callable[[str], None] = lambda _label: None,
) -> ScenarioResult:
    """Score a finished run's best weights in a scenario and store the result in its folder.

    Raises:
        UserError: its method's code changed, or its data are missing or do not allow the scenario.
    """
    spec = folder.spec()
    dataset = splits_of(spec, data_dirs)
    method = _best(folder, dataset, engine)
    return score_scenario(scenario, spec, dataset, folder, method, engine, data_dirs, on_case)


def evaluate_ensemble(
    folders: Sequence[RunFolder], data_dirs: tuple[Path, ...], engine: Engine
) -> tuple[dict[str, ScenarioResult], dict[str, str]]:
    """Score the seeds of each row as an ensemble: the mean of their predictions, and their spread.

    The result is in the folder of the lowest seed, by whose name it is returned; rows that could not be scored are
    named with the reason. Runs without another seed are left out.

    Raises:
        UserError: no row has two seeds, or none can be scored.
    """
    rows: dict[str, list[RunFolder]] = {}
    for folder in folders:
        spec = folder.spec()
        if spec.trained:
            rows.setdefault(spec.model_copy(update={"seed": 0}).run_id, []).append(folder)
    found, refused = {}, {}
    for members in rows.values():
        if len(members) > 1:
            ordered = sorted(members, key=lambda folder: folder.spec().seed)
            try:
                found[ordered[0].path.name] = _ensemble(ordered, data_dirs, engine)
            except (UserError, OSError) as error:
                refused[ordered[0].path.name] = first_line(error)
    if refused and not found:
        raise UserError(next(iter(refused.values())))
    if not found:
        raise UserError("--ensemble takes two seeds of the same method and settings, or more: run with --seeds 0,1,2.")
    return found, refused


class Ensemble(Method):
    """The seeds of one row as members."""

    def __init__(self, methods: Sequence[Method]) -> None:
        super().__init__(methods[0].shape, methods[0].config)
        self.methods = torch.nn.ModuleList(methods)

    def members_at(self, past: Tensor, times: Times | None) -> Tensor:
        """Return the prediction of each member, (M, B, T_out, C, H, W)."""
        return torch.stack([method.predict_at(past, times).float() for method in self.methods])  # type: ignore[operator]


def _ensemble(folders: Sequence[RunFolder], data_dirs: tuple[Path, ...], engine: Engine) -> ScenarioResult:
    spec = folders[0].spec()
    dataset = splits_of(spec, data_dirs)
    wanted = [*ENSEMBLE_METRICS, *(("brier",) if spec.evaluation.thresholds is not None else ())]
    further = spec.evaluation.model_copy(update={"metrics": tuple(wanted)})
    names = dict.fromkeys((*spec.evaluation.listed, *expand(further, spec.shape)))
    spec = spec.model_copy(update={"evaluation": spec.evaluation.model_copy(update={"metrics": tuple(names)})})
    methods = [_best(folder, dataset, engine) for folder in folders]
    ensemble = Ensemble(methods).eval()
    scored = evenly_spaced(len(dataset.test), spec.evaluation.test_clips)
    data = with_test(dataset, View(dataset.test, scored))
    t_out = spec.shape.t_out
    cases = [
        Case(f"seed {folders[0].spec().seed}", None, data, t_out, lambda _: methods[0]),
        Case(f"mean of {len(methods)} seeds", None, data, t_out),
    ]
    named = (f"ensemble:seeds={','.join(str(folder.spec().seed) for folder in folders)}", "ensemble", "")
    return score_cases(named, cases, spec, len(scored), folders[0], ensemble, engine)


def _best(folder: RunFolder, dataset: Splits, engine: Engine) -> Method:
    method = Run(folder.spec(), dataset, Workplace(folder.path.parent, (), engine), folder).build()
    load_best(folder, method)
    return method.eval()
