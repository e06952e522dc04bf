"""A search travels in the bundle of its final runs, and is verified with them."""

import json
from pathlib import Path

import numpy as np
import pytest

from stbench.errors import UserError
from stbench.report.bundle.manifest import write_manifest
from stbench.report.bundle.pack import pack
from stbench.report.bundle.verify import verify
from stbench.report.collect.records import collect
from stbench.report.collect.searches import find_search, read_search
from stbench.report.produce import Format
from stbench.schema.folder import RunFolder
from stbench.schema.trial import Trial, Tuned
from tests.report.runs import make_run, make_spec, noisy

ERRORS = {"first": [3.0, 2.0, 2.5], "second": [1.5]}


def trial(number: int, run: str, state: str = "finished") -> Trial:
    value = min(ERRORS[run]) if run else None
    settings = {"training.lr": f"0.0{number + 1}"}
    return Trial.parse(
        {"method": "alpha", "number": number, "state": state, "settings": settings, "value": value, "run": run}, "test"
    )


def tuned(*trials: Trial) -> Tuned:
    return Tuned(
        benchmark="made",
        protocol="quick",
        methods=("alpha",),
        limit="3 trials",
        sampler="tpe",
        pruner="asha",
        trial_seed=0,
        trials=trials,
    )


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The output folder of a search: a finished, a pruned and a refused trial, and a run with the best settings."""
    folder = tmp_path / "out"
    make_run(folder / "runs", make_spec("alpha", 1), noisy(np.random.default_rng(0), 1.0))
    for name, errors in ERRORS.items():
        run = RunFolder(folder / "tune" / "runs" / name)
        run.path.mkdir(parents=True)
        run.write_history([{"epoch": i, "val_mse_frame": error} for i, error in enumerate(errors)])
        run.file("spec.yaml").write_text("method: alpha\n")
        run.file("curve.jsonl").write_text("{}\n")
    record = tuned(trial(0, "first"), trial(1, "second", "pruned"), trial(2, "", "failed"))
    (folder / "tune" / "tune.json").write_text(record.model_dump_json())
    return folder


def bundled(out: Path) -> Path:
    root = out / "runs"
    pack(collect([root]), [], out.parent / "bundle", [Format.MD, Format.CSV])
    return out.parent / "bundle"


def test_documents_and_epochs_of_the_trials_travel(out: Path) -> None:
    bundle = bundled(out)
    assert verify(bundle).problems == ()
    search = bundle / "tune"
    assert "lr=0.01" in (search / "best.md").read_text()
    names = {path.relative_to(search).as_posix() for path in search.rglob("*") if path.is_file()}
    assert {"trials.csv", "expected.png", "expected.csv", "runs/first/history.jsonl", "runs/second/spec.yaml"} <= names
    assert "runs/first/curve.jsonl" not in names


def test_a_bundle_is_made_again_with_its_search(out: Path) -> None:
    bundle = bundled(out)
    root = bundle / "runs"
    pack(collect([root]), [], bundle, [Format.MD])
    assert verify(bundle).problems == ()
    assert (bundle / "tune" / "best.md").is_file()


def test_an_error_that_the_epochs_do_not_give_is_named(out: Path) -> None:
    bundle = bundled(out)
    path = bundle / "tune" / "tune.json"
    values = json.loads(path.read_text())
    values["trials"][0]["value"] = 0.1
    path.write_text(json.dumps(values))
    write_manifest(bundle, "forged")
    problems = "\n".join(verify(bundle).problems)
    assert "tune: alpha, trial 0: 0.1, the epochs of its run give 2.0" in problems
    assert "tune/best.md: " in problems
    assert "tune/expected.csv: " in problems


def test_a_search_without_the_epochs_of_a_trial_is_named(out: Path) -> None:
    bundle = bundled(out)
    (bundle / "tune" / "runs" / "second" / "history.jsonl").unlink()
    write_manifest(bundle, "forged")
    assert verify(bundle).problems == ("tune: alpha, trial 1: 1.5, the epochs of its run give None",)


@pytest.mark.parametrize("text", ["{", "[]", '{"trials": 3}'])
def test_a_damaged_record_is_named(out: Path, text: str) -> None:
    bundle = bundled(out)
    (bundle / "tune" / "tune.json").write_text(text)
    write_manifest(bundle, "forged")
    assert any("tune.json" in problem for problem in verify(bundle).problems)


@pytest.mark.parametrize("name", ["../first", "/etc", ".."])
def test_names_of_runs_do_not_lead_elsewhere(tmp_path: Path, name: str) -> None:
    record = tuned(trial(0, "first").model_copy(update={"run": name}))
    (tmp_path / "tune.json").write_text(record.model_dump_json())
    with pytest.raises(UserError, match="no plain name"):
        read_search(tmp_path)


def test_two_searches_are_bundled_apart(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "tune").mkdir(parents=True)
        (tmp_path / name / "tune" / "tune.json").write_text("{}")
    with pytest.raises(UserError, match="two searches"):
        find_search([tmp_path / "a" / "runs", tmp_path / "b" / "runs"])
    assert find_search([tmp_path / "c" / "runs"]) is None
