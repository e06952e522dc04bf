"""Scoring without training: public weights as a run, and a finished run again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from stbench.data import Splits, get_protocol, load_benchmark
from stbench.errors import UserError
from stbench.evaluate.predictor import load_best
from stbench.evaluate.score import NotFiniteError
from stbench.files import file_hash
from stbench.nn import METHODS, split_name, variant_settings
from stbench.schema import RunResult, RunSpec
from stbench.schema.folder import finished_run
from stbench.settings import origin_of
from stbench.sweep.environment import describe_environment
from stbench.sweep.execute import Run, Workplace, splits_of
from stbench.sweep.plan import Request, make_plan
from stbench.sweep.resolve import SET
from stbench.sweep.sweep import held, is_done
from stbench.train.checkpoint import best_path, save_weights
from stbench.train.engine import Engine
from stbench.train.public_weights import read_public_weights

SAME = 1e-6
"""Relative difference up to which two scores of the same weights count as equal, as devices order sums differently."""


@dataclass(frozen=True)
class CheckpointRun:
    """Public weights and the run that scores them; ``inferred``: hyperparameters inferred from tensor shapes."""

    spec: RunSpec
    state: Mapping[str, Tensor]
    inferred: Mapping[str, object]

    @property
    def assumed(self) -> dict[str, tuple[object, str]]:
        """Hyperparameters that shapes do not show, with their origins; a wrong one changes only the score."""
        config, origins = self.spec.config, self.spec.origins
        return {key: (config[key], origin_of(origins, f"config.{key}")) for key in config if key not in self.inferred}


def plan_checkpoint(
    path: Path, method: str, benchmark: str, protocol: str, overrides: Sequence[tuple[str, str]]
) -> CheckpointRun:
    """Read a checkpoint and resolve the run that scores it.

    Raises:
        UserError: the file is not a checkpoint or contains code, a name or setting is unknown or invalid, or a setting
            that the file does not determine was not given.
    """
    state = read_public_weights(path)
    chosen = load_benchmark(benchmark)
    shape = get_protocol(chosen, protocol).shape or chosen.shape
    plugin = METHODS.get(split_name(method)[0])
    inferred = plugin.infer_config(state, shape)
    plan = make_plan(
        Request(
            methods=[method], benchmark=benchmark, protocol=protocol, overrides=overrides, inferred={method: inferred}
        )
    )
    if method in plan.skipped:
        raise UserError(f"{method} cannot run on {benchmark}: {plan.skipped[method]}.")
    spec = next(spec for spec in plan.specs if spec.method == method)
    for key in plugin.ask_for:
        if key not in variant_settings(method) and origin_of(spec.origins, f"config.{key}") != SET:
            raise UserError(
                f"{path.name} does not show {key} of {method}, and several values fit it. Name a variant "
                f"({', '.join(plugin.variants)}), e.g. --method {method}:{next(iter(plugin.variants))}, "
                f"or give --set {method}.{key}=VALUE."
            )
    own = {"method": f"{method}@{path.name}", "training": None, "weights": file_hash(path)}
    return CheckpointRun(spec.model_copy(update=own), state, inferred)


def score_checkpoint(scored: CheckpointRun, dataset: Splits, workplace: Workplace) -> RunResult:
    """Score public weights on the test split and record the result; a finished one is reused.

    Raises:
        UserError: the weights do not fit the method with these hyperparameters, the folder cannot be written, or
            another process is scoring them.
    """
    folder = workplace.folder(scored.spec)
    if is_done(scored.spec, workplace):
        return folder.result()
    run = Run(scored.spec, dataset, workplace, folder)
    method = run.build()
    method.load_public_state_dict(scored.state)
    with held(folder, workplace.engine) as mine:
        if not mine:
            raise UserError(f"Another process is scoring these weights in {folder.path}. Wait for it, then try again.")
        if is_done(scored.spec, workplace):
            return folder.result()
        folder.create(scored.spec)
        folder.write_environment(describe_environment(workplace.engine.device, scored.spec))
        save_weights(best_path(folder, None), method)
        try:
            result = run.result(method, None, run.scorer().score(method, folder))
        except NotFiniteError as error:
            result = run.failed(error)
        folder.write_result(result)
    return result


@dataclass(frozen=True)
class Line:
    """One metric of a run: the recorded value and the value from its weights now."""

    metric: str
    recorded: float
    now: float

    @property
    def equal(self) -> bool:
        """True if the values are equal up to rounding."""
        return self.recorded == self.now or abs(self.now - self.recorded) <= SAME * abs(self.recorded)


@dataclass(frozen=True)
class Rescored:
    """A finished run scored again; ``same_data``: the data files have the recorded content."""

    lines: tuple[Line, ...]
    same_data: bool

    @property
    def equal(self) -> bool:
        """True if all metrics are as recorded."""
        return all(line.equal for line in self.lines)


def rescore(path: Path, data_dirs: tuple[Path, ...], engine: Engine) -> Rescored:
    """Score a finished run's best weights again; nothing in its folder changes.

    Raises:
        UserError: the folder is not a finished run, the method's code changed, or data are missing.
    """
    folder = finished_run(path)
    spec, recorded = folder.spec(), folder.result()
    dataset = splits_of(spec, data_dirs)
    run = Run(spec, dataset, Workplace(path.parent, data_dirs, engine), folder)
    method = run.build()
    load_best(folder, method)
    try:
        scores = run.scorer().score(method).metrics
    except NotFiniteError as error:
        raise UserError(f"{path} has no score now: {error}. Check its weights and data, or run it again.") from error
    lines = [Line(name, score.total, scores[name].total) for name, score in recorded.test.items() if name in scores]
    return Rescored(tuple(lines), dataset.fingerprint == recorded.data_fingerprint)
