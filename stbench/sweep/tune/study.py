"""The search of one method: an Optuna study of the search's journal, in which every trial is a run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stbench.errors import UserError
from stbench.schema import RunSpec
from stbench.schema.trial import Trial, TrialState
from stbench.sweep.experiment import as_yaml
from stbench.sweep.tune.space import Domain, Space
from stbench.train.seeding import derive

if TYPE_CHECKING:
    import optuna

SamplerName = Literal["tpe", "random"]
PrunerName = Literal["asha", "none"]
RANDOM_TRIALS = 5
"""Trials drawn at random before TPE models what they showed; a constant, so that more trials continue a search."""
REDUCTION = 3
"""Of the trials that reach a rung of successive halving, one in this many goes on."""
WHOLE = 10_000
"""Resource of a whole run, in parts of its length, so that runs of different lengths compare."""
FIRST_RUNG = math.ceil(WHOLE / REDUCTION**2)
"""The rungs are just above a ninth and a third of a run, so that the first of three epochs is judged at one of them."""
JOURNAL = "journal.log"
_STATES: dict[str, TrialState] = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed"}
_IDENTITY = "identity"


def check_optuna() -> None:
    """Check that Optuna is installed.

    Raises:
        UserError: it is not.
    """
    if find_spec("optuna") is None:
        raise UserError("stbench tune needs optuna. Install it with: pip install 'stbench[tune]'")


def open_journal(folder: Path | None) -> optuna.storages.BaseStorage:
    """Open the journal of a search, whose folder this process has locked; None keeps one in memory.

    A kill may leave a torn last line, which the next line would be appended to, and a lock of a moment.
    """
    import optuna
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if folder is None:
        return optuna.storages.InMemoryStorage()
    file = folder / JOURNAL
    if file.exists():
        content = file.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with file.open("r+b") as stream:
                stream.truncate(whole)
    file.with_name(f"{JOURNAL}.lock").unlink(missing_ok=True)
    return optuna.storages.JournalStorage(JournalFileBackend(str(file)))


@dataclass(frozen=True)
class Searcher:
    """How settings are proposed and trials given up.

    Attributes:
        sampler: ``tpe`` (Bergstra et al., 2011) or ``random``.
        pruner: ``asha``, asynchronous successive halving (Li et al., 2020), or ``none``.
        seed: of the proposals.
    """

    sampler: SamplerName
    pruner: PrunerName
    seed: int

    def __str__(self) -> str:
        """Return it in words."""
        pruned = "" if self.pruner == "none" else f", pruned by {self.pruner.upper()}"
        return f"{'TPE' if self.sampler == 'tpe' else 'random draws'}{pruned}"

    def make_sampler(self, method: str, number: int) -> optuna.samplers.BaseSampler:
        """Return the sampler of one trial: its draws depend on nothing but the trials before, also after a kill."""
        import optuna

        seed = derive(self.seed, "tune", method, number) % 2**32
        if self.sampler == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM_TRIALS)

    def make_pruner(self) -> optuna.pruners.BasePruner:
        """Return the pruner of a study."""
        import optuna

        if self.pruner == "none":
            return optuna.pruners.NopPruner()
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=FIRST_RUNG, reduction_factor=REDUCTION)


@dataclass(frozen=True)
class Spent:
    """What training has cost: seconds, multiply-adds (None if not counted) and epochs."""

    seconds: float = 0.0
    macs: float | None = None
    epochs: int = 0

    @classmethod
    def of(cls, history: Sequence[Mapping[str, Any]]) -> Spent:
        """Sum a run's history."""
        seconds = sum(float(record["train_seconds"]) for record in history)
        return cls(seconds, history[-1].get("macs") if history else None, len(history))


def resource(spec: RunSpec, history: Sequence[Mapping[str, Any]]) -> int:
    """Return which part of a run its history is, in units of 1/10000."""
    training, last = spec.training, history[-1]
    assert training is not None, "only trained methods are searched"
    if training.time_limit is not None:
        share = Spent.of(history).seconds / training.time_limit
    elif training.steps is not None:
        share = last["step"] / training.steps
    else:
        share = (last["epoch"] + 1) / training.epochs
    return max(1, min(WHOLE, int(WHOLE * share)))


class Study:
    """The trials of one method.

    Args:
        storage: the journal.
        method: its name, and the study's.
        space: what is varied.
        searcher: how.
        base: run id of the method with all settings that are not varied.

    Raises:
        UserError: the journal holds trials of this method that were made otherwise.
    """

    def __init__(
        self, storage: optuna.storages.BaseStorage, method: str, space: Space, searcher: Searcher, base: str
    ) -> None:
        import optuna

        self.storage = storage
        self.method = method
        self.space = space
        self.searcher = searcher
        self.study = optuna.create_study(
            storage=storage, study_name=method, pruner=searcher.make_pruner(), load_if_exists=True
        )
        identity = {
            "space": {key: str(domain) for key, domain in space.items()},
            "settings outside the space": base,
            "sampler": searcher.sampler,
            "pruner": searcher.pruner,
            "trial seed": searcher.seed,
        }
        known = self.study.user_attrs.get(_IDENTITY)
        if known is None:
            self.study.set_user_attr(_IDENTITY, identity)
        elif differing := [key for key, value in identity.items() if known.get(key) != value]:
            raise UserError(
                f"The output folder holds a search of {method} with another {' and another '.join(differing)}. Choose "
                "another folder with --out, or repeat the command as it was."
            )

    @property
    def count(self) -> int:
        """Trials begun."""
        return len(self.study.get_trials(deepcopy=False))

    def open_numbers(self) -> list[int]:
        """Return the trials that were begun and have not ended."""
        return [trial.number for trial in self.study.get_trials(deepcopy=False) if not trial.state.is_finished()]

    def begin(self) -> int:
        """Begin a trial and return its number."""
        self.study.sampler = self.searcher.make_sampler(self.method, self.count)
        return self.study.ask().number

    def settings(self, number: int) -> dict[str, str]:
        """Return the settings of an open trial, as ``--set`` takes them; those not drawn yet are drawn."""
        self.study.sampler = self.searcher.make_sampler(self.method, number)
        trial = self._trial(number)
        return self._texts({key: _draw(trial, key, domain) for key, domain in self.space.items()})

    def _texts(self, drawn: Mapping[str, Any]) -> dict[str, str]:
        return {key: value if self.space[key].kind == "choice" else as_yaml(value) for key, value in drawn.items()}

    def _trial(self, number: int) -> optuna.trial.Trial:
        import optuna

        study = self.storage.get_study_id_from_name(self.method)
        return optuna.trial.Trial(self.study, self.storage.get_trial_id_from_study_id_trial_number(study, number))

    def follow(self, number: int, spec: RunSpec, history: Sequence[Mapping[str, Any]]) -> bool:
        """Tell an open trial of the epochs that its run has done; return whether to give it up.

        What is compared is the lowest error so far, as that epoch's weights would be kept.
        """
        if not history:
            return False
        trial = self._trial(number)
        frozen = self.study.get_trials(deepcopy=False)[number]
        best = math.inf
        for length, record in enumerate(history, 1):
            best = min(best, float(record["val_mse_frame"]))
            step = resource(spec, history[:length])
            if step not in frozen.intermediate_values:
                trial.report(best, step)
        at_end = resource(spec, history) == WHOLE
        return not at_end and trial.should_prune()

    def end(
        self,
        number: int,
        state: TrialState,
        history: Sequence[Mapping[str, Any]] = (),
        *,
        run: str = "",
        reason: str = "",
    ) -> None:
        """Record how a trial ended; it is then never done again."""
        import optuna

        spent = Spent.of(history)
        trial = self._trial(number)
        facts = {"epochs": spent.epochs, "seconds": spent.seconds, "macs": spent.macs, "run": run, "reason": reason}
        trial.set_user_attr("facts", json.dumps(facts))
        code = next(name for name, known in _STATES.items() if known == state)
        value = lowest(history) if state == "finished" else None
        self.study.tell(number, value, optuna.trial.TrialState[code])

    def trials(self) -> tuple[Trial, ...]:
        """Return all trials; of open ones, without what their runs have done."""
        return tuple(self._record(trial) for trial in self.study.get_trials(deepcopy=False))

    def _record(self, trial: optuna.trial.FrozenTrial) -> Trial:
        values = list(trial.intermediate_values.values())
        return Trial(
            method=self.method,
            number=trial.number,
            state=_STATES.get(trial.state.name, "open"),
            settings=self._texts(trial.params),
            value=min(values) if values else None,
            **json.loads(trial.user_attrs.get("facts", "{}")),
        )


def lowest(history: Sequence[Mapping[str, Any]]) -> float:
    """Return the lowest validation error of a run."""
    return min(float(record["val_mse_frame"]) for record in history)


def _draw(trial: optuna.trial.Trial, key: str, domain: Domain) -> Any:
    if domain.kind == "choice":
        return trial.suggest_categorical(key, domain.values)
    low, high = domain.values
    if domain.kind == "int":
        return trial.suggest_int(key, low, high)
    return trial.suggest_float(key, low, high, log=domain.kind == "log")
