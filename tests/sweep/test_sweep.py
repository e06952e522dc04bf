"""A sweep in this process: two at once, and the requirements of a finished run."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stbench.data import Splits
from stbench.data.benchmarks.own_data import CustomOptions, custom_benchmark
from stbench.errors import UserError
from stbench.events import SweepListener
from stbench.schema import RunResult, RunSpec
from stbench.settings import parse_override
from stbench.sweep import sweep as module
from stbench.sweep.execute import Run, Workplace
from stbench.sweep.plan import Request, make_plan
from stbench.sweep.sweep import note_on, sweep
from stbench.train.engine import Engine


class Listener(SweepListener):
    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def run_listener(self, spec: RunSpec, number: int, runs: int) -> Any:
        return SimpleNamespace(on_evaluate=lambda: self.said.append(("scored", spec.method)))

    def run_done(self, spec: RunSpec, outcome: str, result: RunResult | None, note: str = "") -> None:
        self.said.append((outcome, note))

    def data_opened(self, report: str) -> None:
        self.said.append(("opened", ""))


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path, (), Engine("cpu"))


@pytest.fixture
def specs() -> tuple[RunSpec, ...]:
    overrides = [parse_override("dataset.test_clips=4"), parse_override("dataset.train_clips=8")]
    request = Request(methods=["persistence"], benchmark="moving_digits", protocol="quick", overrides=overrides)
    return make_plan(request).specs[:1]


def test_a_run_that_another_process_finished_meanwhile_is_not_scored_again(
    place: Workplace, specs: tuple[RunSpec, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the first look at the folder and the lock, another sweep does the run."""
    other, mine, real = Listener(), Listener(), module.held

    @contextmanager
    def late(*arguments: Any) -> Iterator[bool]:
        monkeypatch.setattr(module, "held", real)
        sweep(specs, replace(place, listener=other))
        with real(*arguments) as got:
            yield got

    monkeypatch.setattr(module, "held", late)
    sweep(specs, replace(place, listener=mine))
    assert ("scored", "persistence") in other.said
    assert mine.said == [("opened", ""), ("already done", "")]


def test_a_finished_run_needs_no_data(
    place: Workplace, specs: tuple[RunSpec, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep(specs, replace(place, listener=Listener()))

    def gone(*_: object) -> Splits:
        raise UserError("the files are missing")

    monkeypatch.setattr(module, "splits_of", gone)
    again = Listener()
    sweep(specs, replace(place, listener=again))
    assert again.said == [("already done", "")]
    monkeypatch.setattr(module, "is_done", lambda *_: False)
    with pytest.raises(UserError, match="files are missing"):
        sweep(specs, replace(place, listener=again))


def test_without_test_a_run_trains_and_is_scored_later(
    place: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = [
        "dataset.test_clips=4",
        "dataset.train_clips=8",
        "evaluation.val_clips=4",
        "convlstm.hidden=[2]",
        "epochs=1",
    ]
    request = Request(["convlstm"], "moving_digits", "quick", overrides=[parse_override(text) for text in sets])
    specs = make_plan(request).specs[-1:]
    with monkeypatch.context() as patch:
        patch.setattr(Run, "scorer", lambda _: pytest.fail("the test split was touched"))
        assert [ended.outcome for ended in sweep(specs, replace(place, test=False))] == ["trained"]
    folder = place.folder(specs[0])
    assert not folder.is_complete
    history = folder.history()
    assert [ended.outcome for ended in sweep(specs, place)] == ["finished"]
    assert folder.history() == history


def test_what_is_not_trained_is_fitted_to_clips_as_recorded(place: Workplace, tmp_path: Path) -> None:
    """Augmentation is for training: a mean of turned frames would be the mean of nothing that was seen."""
    clips = np.random.default_rng(0).random((10, 6, 8, 8), dtype=np.float32) * np.linspace(0, 1, 8, dtype=np.float32)
    np.save(tmp_path / "clips.npy", clips)
    benchmark = custom_benchmark(str(tmp_path / "clips.npy"), CustomOptions(t_in=3, t_out=3, layout="NTHW"))
    errors = []
    for augment in ("{}", "{flips: [horizontal]}"):
        overrides = [parse_override(f"dataset.augment={augment}")]
        specs = make_plan(Request(["climatology"], benchmark, "quick", overrides=overrides)).specs
        sweep(specs, replace(place, listener=Listener()))
        (spec,) = (spec for spec in specs if spec.method == "climatology")
        errors.append(place.folder(spec).result().test["mse_frame"].total)
    assert errors[0] == errors[1]


def test_notes_on_what_was_found_done(place: Workplace, specs: tuple[RunSpec, ...]) -> None:
    sweep(specs, replace(place, listener=Listener()))
    (spec,) = specs
    result = place.folder(spec).result()
    known = result.data_fingerprint
    assert known
    assert note_on(spec, result, known) == note_on(spec, result, None) == ""
    assert note_on(spec, result, "other") == "the data have changed since; --redo repeats the run"
    changed = result.model_copy(update={"method_source": "other"})
    both = "its code has changed since and the data have changed since; --redo repeats the run"
    assert note_on(spec, changed, "other") == both
