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
from stbench.schema import Training
from stbench.schema.folder import RunFolder
from stbench.schema.trial import Trial, Tuned
from stbench.train.schedules import Constant
from tests.report.runs import make_run, make_spec, noisy

SPECS = [
    make_spec("alpha", 0, training=Training(epochs=3, batch_size=4, lr=lr, schedule=Constant())) for lr in (0.01, 0.02)
]
FIRST, SECOND = (spec.folder for spec in SPECS)
ERRORS = {FIRST: [3.0, 2.0, 2.5], SECOND: [1.5]}


def trial(number: int, run: str, state: str = "finished") -> Trial:
    value = min(ERRORS[run]) if run else None
    settings = {"training.lr": f"{number + 1}e-2", "config.width": "4"}
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
    for spec, (name, errors) in zip(SPECS, ERRORS.items(), strict=True):
        run = RunFolder(folder / "tune" / "runs" / name)
        run.create(spec)
        run.write_history([{"epoch": i, "val_mse_frame": error} for i, error in enumerate(errors)])
        run.file("curve.jsonl").write_text("{}\n")
    record = tuned(trial(0, FIRST), trial(1, SECOND, "pruned"), trial(2, "", "failed"))
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
    assert {
        "trials.csv",
        "expected.png",
        "expected.csv",
        f"runs/{FIRST}/history.jsonl",
        f"runs/{SECOND}/spec.yaml",
    } <= names
    assert f"runs/{FIRST}/curve.jsonl" not in names


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


def other(bundle: Path, **values: object) -> str:
    """What verification says of a first trial with other values."""
    path = bundle / "tune" / "tune.json"
    record = json.loads(path.read_text())
    record["trials"][0] |= values
    path.write_text(json.dumps(record))
    write_manifest(bundle, "forged")
    return "\n".join(verify(bundle).problems)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"training.lr": "0.02"}, "training.lr = 0.02, the spec of its run has 0.01"),
        ({"training.lr": "fast"}, "training.lr = fast, the spec of its run has 0.01"),
        ({"config.depth": "2"}, "config.depth = 2, the spec of its run has None"),
        ({"training.lr.x": "2"}, "training.lr.x = 2, the spec of its run has None"),
        ({"training.ema": "0.9"}, "training.ema = 0.9, the spec of its run has None"),
        ({"training.fast_conv": "true"}, "training.fast_conv = true, the spec of its run has None"),
        ({"config": "{width: 5}"}, "config = {width: 5}, the spec of its run has {'width': 4}"),
        ({"training.lr": "[0.01]"}, "training.lr = [0.01], the spec"),
    ],
)
def test_settings_that_are_not_those_of_the_run_are_named(settings: dict[str, str], expected: str, out: Path) -> None:
    assert f"tune: alpha, trial 0: {expected}" in other(bundled(out), settings=settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"config": "{width: 4}"},
        {"config.width": "'4'"},
        {"training": "{lr: 0.01, epochs: 3}"},
        {"training.lr": "'1e-2'", "training.epochs": "'3'", "training.batch_size": "4.0"},
        {"training.ema": "null", "training.fast_conv": "false", "training.compile": "false"},
    ],
)
def test_settings_that_a_run_has_by_default_or_in_other_words_are_its_own(settings: dict[str, str], out: Path) -> None:
    assert "tune: alpha" not in other(bundled(out), settings=settings)


def test_the_run_of_another_trial_is_named(out: Path) -> None:
    assert "tune: alpha, trial 0: training.lr = 1e-2, the spec of its run has 0.02" in other(bundled(out), run=SECOND)
    (out.parent / "bundle" / "tune" / "runs" / FIRST).rename(out.parent / "bundle" / "tune" / "runs" / "else")
    assert f"tune: alpha, trial 0: spec.yaml is that of {FIRST}" in other(out.parent / "bundle", run="else")


def test_a_search_without_the_epochs_of_a_trial_is_named(out: Path) -> None:
    bundle = bundled(out)
    (bundle / "tune" / "runs" / SECOND / "history.jsonl").unlink()
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
    record = tuned(trial(0, FIRST).model_copy(update={"run": name}))
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
