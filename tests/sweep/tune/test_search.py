"""The search, with an executor that writes the epochs of a run without training: equal shares, ends, and resuming."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from stbench.data import Split, Splits
from stbench.errors import UserError
from stbench.events import SweepListener
from stbench.schema import Budget, Failure, RunResult, RunSpec
from stbench.schema.trial import Trial
from stbench.settings import parse_override
from stbench.sweep import sweep as module
from stbench.sweep.execute import Workplace, splits_of
from stbench.sweep.executors import Ended, Executor, get_executor
from stbench.sweep.plan import Request, make_plan
from stbench.sweep.tune.search import BUDGET_IS_SPENT, MOST_FAILURES, Limit, Search
from stbench.sweep.tune.space import Domain
from stbench.sweep.tune.study import JOURNAL, Searcher, Study, open_journal
from stbench.train.engine import Engine

pytest.importorskip("optuna", reason="the search needs optuna: pip install 'stbench[tune]'")

EPOCHS = 9
SPACE = {"training.lr": Domain("log", (1e-4, 1e-1))}
SETS = [
    *("dataset.test_clips=4", "dataset.train_clips=8", "evaluation.val_clips=4", "convlstm.hidden=[2]"),
    *("simvp.hid_s=2", "simvp.hid_t=2", "simvp.n_t=2", f"epochs={EPOCHS}"),
]


@pytest.fixture(scope="module")
def base() -> dict[str, RunSpec]:
    request = Request(["convlstm", "simvp"], "moving_digits", "quick", overrides=[parse_override(s) for s in SETS])
    return {spec.method: spec for spec in make_plan(request).specs if spec.training is not None}


@pytest.fixture(scope="module", autouse=True)
def no_fsync() -> Iterator[None]:
    """No machine loses its power here, and a thousand small writes to a disk would take most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda _: None)
        yield


@dataclass
class Pretend:
    """Writes histories: the error falls with the epoch, and is lowest at a rate of 0.01.

    Attributes:
        cost: seconds, and a hundred times the MACs, of an epoch of each method.
        ends: how a run ends that is not trained to the end, by its number of those begun.
        killed_at: the epoch, counted over all runs, before which the process is killed.
    """

    cost: Mapping[str, float] = field(default_factory=lambda: {"convlstm": 1.0, "simvp": 3.0})
    ends: Mapping[int, Any] = field(default_factory=dict)
    killed_at: int | None = None
    begun: list[str] = field(default_factory=list)
    epochs: int = 0

    def submit(self, specs: Sequence[RunSpec], workplace: Workplace) -> Iterator[Ended]:
        for spec in specs:
            assert not workplace.test
            self.begun.append(spec.folder)
            yield self.run(spec, workplace, self.ends.get(len(self.begun)))

    def run(self, spec: RunSpec, workplace: Workplace, end: Any) -> Ended:
        folder = workplace.folder(spec)
        folder.create(spec)
        listener = workplace.listener.run_listener(spec, 1, 1)
        history = folder.history()
        training = spec.training
        assert training is not None
        for epoch in range(len(history), EPOCHS):
            if (reason := folder.why_pruned()) is not None:
                return Ended(spec, "pruned", note=reason)
            if self.epochs == self.killed_at:
                raise SystemExit("killed")
            if end is not None:
                return Ended(spec, *end)
            error = 1 + abs(math.log10(training.lr) + 2) + 1 / (epoch + 1)
            cost = self.cost[spec.method]
            record = {"epoch": epoch, "step": epoch + 1, "val_mse_frame": error, "train_seconds": cost}
            history.append({**record, "macs": 100 * cost * (epoch + 1)})
            folder.write_history(history)
            self.epochs += 1
            listener.on_epoch(history[-1])
        return Ended(spec, "trained")


def make_search(
    folder: Path,
    base: Mapping[str, RunSpec],
    executor: Executor,
    limit: Limit,
    *,
    searcher: Searcher | None = None,
    at_once: int = 1,
) -> Search:
    searcher = searcher or Searcher("tpe", "asha", 0)
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    storage = open_journal(folder)
    studies = {name: Study(storage, name, SPACE, searcher, spec.run_id) for name, spec in base.items()}

    def spec_of(method: str, settings: Mapping[str, str]) -> RunSpec:
        training = base[method].training
        assert training is not None
        changed = training.model_copy(update={"lr": float(settings["training.lr"])})
        return base[method].model_copy(update={"training": changed})

    workplace = Workplace(folder / "runs", (), Engine("cpu"))
    return Search(studies, spec_of, limit, workplace, executor, at_once)


def of(trials: Sequence[Trial], method: str) -> list[Trial]:
    return [trial for trial in trials if trial.method == method]


@pytest.mark.parametrize(("at_once", "sampler"), [(1, "random"), (3, "tpe")])
def test_every_method_has_the_same_number_of_trials(
    tmp_path: Path, base: dict[str, RunSpec], at_once: int, sampler: Any
) -> None:
    executor = Pretend()
    searcher = Searcher(sampler, "asha", 0)
    trials = make_search(tmp_path, base, executor, Limit(5), searcher=searcher, at_once=at_once).run()
    assert [trial.number for trial in of(trials, "convlstm")] == list(range(5))
    assert [trial.number for trial in of(trials, "simvp")] == list(range(5))
    assert {trial.state for trial in trials} == {"finished", "pruned"}
    assert executor.begun == list(dict.fromkeys(executor.begun)), "no run is done twice"
    for trial in trials:
        lr = float(trial.settings["training.lr"])
        assert 1e-4 <= lr <= 1e-1
        assert trial.value == pytest.approx(1 + abs(math.log10(lr) + 2) + 1 / trial.epochs)
        assert (trial.state == "finished") == (trial.epochs == EPOCHS)
        assert trial.seconds == trial.epochs * Pretend().cost[trial.method]
        assert (tmp_path / "runs" / trial.run / "pruned.json").is_file() == (trial.state == "pruned")


def test_without_pruning_every_trial_is_trained_to_its_end(tmp_path: Path, base: dict[str, RunSpec]) -> None:
    searcher = Searcher("tpe", "none", 0)
    trials = make_search(tmp_path, base, Pretend(), Limit(2), searcher=searcher).run()
    assert [(trial.state, trial.epochs) for trial in trials] == [("finished", EPOCHS)] * 4


@pytest.mark.parametrize(("text", "spent"), [("25s", "seconds"), ("2500MACs", "macs"), ("25epochs", "epochs")])
def test_every_method_has_the_same_budget(tmp_path: Path, base: dict[str, RunSpec], text: str, spent: str) -> None:
    """To an epoch: the trial in which the budget ends is stopped there, and says so."""
    budget = Budget.parse(text, "--budget")
    trials = make_search(tmp_path, base, Pretend(), Limit(budget=budget)).run()
    for method, cost in Pretend().cost.items():
        step = {"seconds": cost, "macs": 100 * cost, "epochs": 1}[spent]
        total = sum(getattr(trial, spent) for trial in of(trials, method))
        assert budget.amount <= total < budget.amount + step
        assert of(trials, method)[-1].reason in (BUDGET_IS_SPENT, "") or of(trials, method)[-1].state == "pruned"
    if spent != "epochs":
        assert len(of(trials, "convlstm")) > len(of(trials, "simvp")), "what costs less has more trials"


@pytest.fixture(scope="module")
def whole(base: dict[str, RunSpec], tmp_path_factory: pytest.TempPathFactory) -> tuple[Trial, ...]:
    """An unbroken search of four trials of each method."""
    return make_search(tmp_path_factory.mktemp("whole"), base, Pretend(), Limit(4)).run()


@pytest.mark.parametrize(("killed_at", "torn"), [(0, False), (9, True), (14, False), (23, True)])
def test_a_killed_search_ends_as_an_unbroken_one(
    tmp_path: Path, base: dict[str, RunSpec], whole: tuple[Trial, ...], killed_at: int, torn: bool
) -> None:
    first = Pretend(killed_at=killed_at)
    with pytest.raises(SystemExit):
        make_search(tmp_path / "killed", base, first, Limit(4)).run()
    if torn:
        with (tmp_path / "killed" / JOURNAL).open("a") as journal:
            journal.write('{"op_code": 4, "tri')
        (tmp_path / "killed" / f"{JOURNAL}.lock").symlink_to(JOURNAL)
    second = Pretend()
    assert make_search(tmp_path / "killed", base, second, Limit(4)).run() == whole
    assert first.epochs + second.epochs == sum(trial.epochs for trial in whole), "no epoch is done twice"
    third = Pretend()
    assert make_search(tmp_path / "killed", base, third, Limit(4)).run() == whole
    assert third.begun == []


def test_more_trials_continue_a_search(tmp_path: Path, base: dict[str, RunSpec], whole: tuple[Trial, ...]) -> None:
    make_search(tmp_path, base, Pretend(), Limit(2)).run()
    assert make_search(tmp_path, base, Pretend(), Limit(4)).run() == whole


def failed(spec: RunSpec, kind: Any) -> RunResult:
    return RunResult(
        run_id=spec.run_id,
        method=spec.method,
        benchmark=spec.benchmark,
        protocol=spec.protocol,
        seed=0,
        status="failed",
        failure=Failure(kind=kind, reason="the training loss is nan"),
    )


def test_a_diverged_trial_is_a_failed_one_and_counts(tmp_path: Path, base: dict[str, RunSpec]) -> None:
    one = {"convlstm": base["convlstm"]}
    ends = {2: ("failed", failed(base["convlstm"], "diverged"))}
    trials = make_search(tmp_path, one, Pretend(ends=ends), Limit(4)).run()
    assert [trial.state == "failed" for trial in trials] == [False, True, False, False]
    assert (trials[1].reason, trials[1].value) == ("diverged: the training loss is nan", None)


@pytest.mark.parametrize("outcome", ["unfinished", "busy"])
def test_a_fault_of_the_machine_leaves_a_trial_open(
    tmp_path: Path, base: dict[str, RunSpec], whole: tuple[Trial, ...], outcome: Any
) -> None:
    """Its method waits for the next command; the other goes on. In the end all is as without the fault."""
    search = make_search(tmp_path / "a", base, Pretend(ends={3: (outcome, None, "the disk is full")}), Limit(4))
    trials = search.run()
    assert search.stopped == {"convlstm": "the disk is full"}
    assert [len(of(trials, method)) for method in base] == [2, 4]
    assert [trial.state for trial in of(trials, "convlstm")][1] == "open"
    assert make_search(tmp_path / "a", base, Pretend(), Limit(4)).run() == whole


def test_a_method_that_only_fails_does_not_hold_a_budget_up(tmp_path: Path, base: dict[str, RunSpec]) -> None:
    one = {"convlstm": base["convlstm"]}
    ends = {number: ("failed", failed(base["convlstm"], "crashed")) for number in range(1, 100)}
    search = make_search(tmp_path, one, Pretend(ends=ends), Limit(budget=Budget(kind="time", amount=5)))
    assert len(search.run()) == MOST_FAILURES
    assert "failed" in search.stopped["convlstm"]


def test_refused_settings_are_a_failed_trial(tmp_path: Path, base: dict[str, RunSpec]) -> None:
    def refuse(method: str, settings: Mapping[str, str]) -> RunSpec:
        raise UserError("batch_size 6 is not a multiple of accumulate 4")

    search = make_search(tmp_path, base, Pretend(), Limit(2))
    search.spec_of = refuse
    trials = search.run()
    assert [trial.state for trial in trials] == ["failed"] * 4
    assert trials[0].reason == "the settings are refused: batch_size 6 is not a multiple of accumulate 4"


def test_equal_settings_are_one_run(tmp_path: Path, base: dict[str, RunSpec]) -> None:
    search = make_search(tmp_path, base, executor := Pretend(), Limit(5), at_once=2)
    search.spec_of = lambda method, settings: base[method]
    trials = search.run()
    assert len(set(executor.begun)) == 2
    assert len(trials) == 10
    assert {trial.state for trial in trials} <= {"finished", "pruned"}


@pytest.mark.parametrize("change", ["space", "base", "sampler", "seed"])
def test_another_search_is_not_continued(tmp_path: Path, base: dict[str, RunSpec], change: str) -> None:
    searcher = Searcher("tpe", "asha", 0)
    values: dict[str, Any] = {"space": SPACE, "searcher": searcher, "base": "1"}
    storage = open_journal(tmp_path)
    Study(storage, "m", **values)
    other = {
        "space": {"space": {"training.lr": Domain("log", (1e-4, 1e-2))}},
        "base": {"base": "2"},
        "sampler": {"searcher": replace(searcher, sampler="random")},
        "seed": {"searcher": replace(searcher, seed=1)},
    }
    with pytest.raises(
        UserError, match=f"holds a search of m with another .*{change if change != 'base' else 'outside'}"
    ):
        Study(open_journal(tmp_path), "m", **{**values, **other[change]})


class Untouchable(Split):
    """Fails the test that looks at it."""

    def __len__(self) -> int:
        raise AssertionError("the test split was opened")

    def clips(self, indices: Any, epoch: int) -> torch.Tensor:
        raise AssertionError("the test split was read")


def test_real_trials_never_touch_the_test_split(
    tmp_path: Path, base: dict[str, RunSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a trial that is given up ends after its epoch, with that epoch on record."""

    def without_test(spec: RunSpec, data_dirs: tuple[Path, ...]) -> Splits:
        return replace(splits_of(spec, data_dirs), test=Untouchable())

    monkeypatch.setattr(module, "splits_of", without_test)
    heard: list[str] = []

    class Listener(SweepListener):
        def run_done(self, spec: RunSpec, outcome: Any, result: Any, note: str = "") -> None:
            heard.append(outcome)

    one = {"convlstm": base["convlstm"]}
    search = make_search(tmp_path, one, get_executor("local"), Limit(budget=Budget(kind="epochs", amount=EPOCHS + 2)))
    search.workplace = replace(search.workplace, listener=Listener())
    trials = search.run()
    assert heard == ["trained", "pruned"]
    assert trials[0].state == "finished"
    assert trials[0].epochs == EPOCHS
    assert sum(trial.epochs for trial in trials) == EPOCHS + 2
    assert not list((tmp_path / "runs").glob("*/result.json"))
    with pytest.raises(AssertionError, match="test split"):
        len(without_test(base["convlstm"], ()).test)
