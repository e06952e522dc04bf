"""``stbench tune``: trials of every method until all have had the same, through any executor.

A trial is a run that is trained and validated: one spec, one folder. Folders and the journal are the truth, so a killed
search goes on where it stopped. Only open trials are ever run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from stbench.errors import UserError, counted, first_line
from stbench.events import RunFanOut, RunListener, SweepListener
from stbench.schema import Budget, RunSpec
from stbench.schema.trial import Trial
from stbench.sweep.execute import Workplace
from stbench.sweep.executors import Ended, Executor
from stbench.sweep.sweep import check_writable
from stbench.sweep.tune.study import Spent, Study, lowest

MOST_FAILURES = 10
"""Failed trials in a row after which a search by budget, which they may not cost, leaves a method."""
BUDGET_IS_SPENT = "the budget is spent"
History = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Limit:
    """What every method gets: a number of trials, or a budget of all its trials together."""

    trials: int | None = None
    budget: Budget | None = None

    def __str__(self) -> str:
        """Return it in words."""
        return counted(self.trials or 0, "trial") if self.budget is None else f"{self.budget} of training"

    def is_reached(self, begun: int, spent: Spent) -> bool:
        """Return whether a method has had its share."""
        if self.budget is None:
            return begun >= (self.trials or 0)
        costs = {"time": spent.seconds, "macs": spent.macs or 0.0, "epochs": spent.epochs}
        return costs[self.budget.kind] >= self.budget.amount


@dataclass
class _Open:
    """An open trial and its run."""

    study: Study
    number: int
    spec: RunSpec


@dataclass
class Search:
    """The search of all methods.

    Attributes:
        studies: by method.
        spec_of: returns the run of a method with searched settings; raises UserError where they do not go together.
        limit: what every method gets.
        workplace: of the trials, with the listener that is shown.
        executor: runs them.
        at_once: trials asked for at once.
    """

    studies: Mapping[str, Study]
    spec_of: Callable[[str, Mapping[str, str]], RunSpec]
    limit: Limit
    workplace: Workplace
    executor: Executor
    at_once: int = 1
    stopped: dict[str, str] = field(default_factory=dict)
    """Methods whose search a fault of the machine has interrupted, with the reason."""
    _open: dict[str, list[_Open]] = field(default_factory=dict)
    """Open trials by run folder: two trials may have the same settings, and then one run."""

    def run(self) -> tuple[Trial, ...]:
        """Do trials until every method has had its share, or cannot go on; return all trials.

        Raises:
            UserError: missing or damaged data, or an unwritable folder.
            MachineError: a fault of the machine after which no run can go on.
            KeyboardInterrupt: asked to stop; open trials are resumed by the same command.
        """
        check_writable(self.workplace.root)
        shown = self.workplace.listener
        workplace = replace(self.workplace, listener=_Listener(self, shown), test=False)
        try:
            while specs := self._next():
                for ended in self.executor.submit(specs, workplace):
                    self._end(ended, shown)
        finally:
            shown.close()
        return self.trials()

    def trials(self) -> tuple[Trial, ...]:
        """Return all trials of all methods."""
        return tuple(trial for study in self.studies.values() for trial in study.trials())

    def place(self, spec: RunSpec) -> tuple[int, int]:
        """Return which of how many trials a run is."""
        begun = sum(study.count for study in self.studies.values())
        first = self._open[spec.folder][0].number if spec.folder in self._open else 0
        if self.limit.trials is None:
            return first + 1, max(begun, 2)
        methods = list(self.studies)
        number = first * len(methods) + methods.index(spec.method) + 1
        return number, max(self.limit.trials * len(methods), 2)

    def follow(self, folder: str) -> None:
        """Tell the trials of a run of its epochs, and ask the run to end if it is not worth going on."""
        trials = self._open.get(folder, [])
        reasons = []
        for trial in trials:
            history = self._history(trial.spec)
            given_up = trial.study.follow(trial.number, trial.spec, history)
            if given_up:
                reasons.append(f"behind other trials after epoch {len(history)}")
            elif self.limit.budget is not None and self.limit.is_reached(0, self._spent(trial.study)):
                reasons.append(BUDGET_IS_SPENT)
        if trials and len(reasons) == len(trials):
            self.workplace.folder(trials[0].spec).prune(reasons[0])

    def _next(self) -> list[RunSpec]:
        """Return the runs of up to ``at_once`` open trials, begun earlier or now, of the method with fewest first."""
        while sum(map(len, self._open.values())) < self.at_once:
            waiting = [study for study in self.studies.values() if self._may_go_on(study)]
            if not waiting:
                break
            self._begin(min(waiting, key=lambda study: study.count - len(self._left(study))))
        return [trials[0].spec for trials in self._open.values()]

    def _left(self, study: Study) -> list[int]:
        """Return open trials of a method that no run of this command is for."""
        mine = {trial.number for trials in self._open.values() for trial in trials if trial.study is study}
        return [number for number in study.open_numbers() if number not in mine]

    def _may_go_on(self, study: Study) -> bool:
        if self.limit.budget is not None and _fails(study):
            self.stopped[study.method] = f"its last {MOST_FAILURES} trials failed"
        if study.method in self.stopped:
            return False
        return bool(self._left(study)) or not self.limit.is_reached(study.count, self._spent(study))

    def _begin(self, study: Study) -> None:
        left = self._left(study)
        number = left[0] if left else study.begin()
        try:
            spec = self.spec_of(study.method, study.settings(number))
        except UserError as error:
            study.end(number, "failed", reason=f"the settings are refused: {first_line(error)}")
            return
        self._open.setdefault(spec.folder, []).append(_Open(study, number, spec))

    def _spent(self, study: Study) -> Spent:
        """Return what the trials of a method have cost; two with one run cost it once."""
        runs = {trial.run: Spent(trial.seconds, trial.macs, trial.epochs) for trial in study.trials() if trial.run}
        for trials in self._open.values():
            if trials[0].study is study:
                runs[trials[0].spec.folder] = Spent.of(self._history(trials[0].spec))
        parts = runs.values()
        macs = sum(part.macs or 0.0 for part in parts)
        return Spent(sum(part.seconds for part in parts), macs, sum(part.epochs for part in parts))

    def _history(self, spec: RunSpec) -> History:
        return self.workplace.folder(spec).history_so_far()

    def _end(self, ended: Ended, shown: SweepListener) -> None:
        trials = self._open.pop(ended.spec.folder)
        history = self._history(ended.spec)
        note = ended.note
        for trial in trials:
            if ended.outcome in ("busy", "unfinished"):
                self.stopped[trial.study.method] = note or "another process is working on it"
                continue
            trial.study.follow(trial.number, trial.spec, history)
            failure = None if ended.result is None else ended.result.failure
            if failure is not None:
                reason = f"{failure.kind}: {failure.reason}"
                trial.study.end(trial.number, "failed", history, run=ended.spec.folder, reason=reason)
            elif ended.outcome == "pruned":
                trial.study.end(trial.number, "pruned", history, run=ended.spec.folder, reason=note)
            else:
                trial.study.end(trial.number, "finished", history, run=ended.spec.folder)
            note = _told(trial, history, ended.note)
        shown.run_done(ended.spec, ended.outcome, ended.result, note)


def _fails(study: Study) -> bool:
    last = study.trials()[-MOST_FAILURES:]
    return len(last) == MOST_FAILURES and all(trial.state == "failed" for trial in last)


def _told(trial: _Open, history: History, note: str) -> str:
    """Describe an ended trial: its number, its error and the lowest one so far."""
    parts = [f"trial {trial.number + 1}"]
    if history:
        parts.append(f"validation mse_frame {lowest(history):.4g}")
    known = [t.value for t in trial.study.trials() if t.state == "finished" and t.value is not None]
    if known:
        parts.append(f"best so far {min(known):.4g}")
    return ", ".join([*parts, *([note] if note else [])])


class _Listener(SweepListener):
    """Shows runs with their place in the whole search, and follows their epochs."""

    def __init__(self, search: Search, shown: SweepListener) -> None:
        self._search = search
        self._shown = shown
        self._told: set[str] = set()

    def data_opened(self, report: str) -> None:
        """Forward the first of equal reports."""
        if report not in self._told:
            self._told.add(report)
            self._shown.data_opened(report)

    def run_listener(self, spec: RunSpec, number: int, runs: int) -> RunListener:  # noqa: ARG002 - of one round
        """Return the display of the run and the follower of its trials."""
        return RunFanOut([self._shown.run_listener(spec, *self._search.place(spec)), _Follower(self._search, spec)])


class _Follower(RunListener):
    """Tells a search when a run has done an epoch."""

    def __init__(self, search: Search, spec: RunSpec) -> None:
        self._search = search
        self._folder = spec.folder
        search.follow(self._folder)  # what a killed command has seen and not told

    def on_epoch(self, record: Mapping[str, Any]) -> None:  # noqa: ARG002 - it stands in the run's history
        """Follow."""
        self._search.follow(self._folder)
