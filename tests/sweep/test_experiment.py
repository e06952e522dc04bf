"""Experiment files: what they may say, what overrides what, and that a run's spec is one."""

from pathlib import Path

import pytest
import typer

from stbench.cli.app import app
from stbench.cli.launch import Order, read_order, stated
from stbench.data import load_benchmark
from stbench.errors import UserError
from stbench.schema import RunSpec
from stbench.schema.folder import RunFolder
from stbench.sweep.experiment import Experiment, split_numbers
from stbench.sweep.labels import Labeller
from stbench.sweep.launch import Flags, Part, all_specs, plan_parts, rerun_part
from stbench.sweep.plan import Request, make_plan
from tests.sweep.plans import benchmarks

TAXINYC_QUICK = Path(__file__).resolve().parents[2] / "docs" / "experiments" / "taxinyc_quick.yaml"
SMALL = "methods: convlstm\ndatasets: moving_digits\nprotocols: quick\n"


def order(*arguments: str) -> Order:
    command = typer.main.get_command(app).commands["run"]  # type: ignore[attr-defined]
    with command.make_context("run", list(arguments)) as context:
        config = context.params["config"]  # typer releases differ in who makes a Path of it
        return read_order({**context.params, "config": config and Path(config)}, stated(context))


def parts(*arguments: str) -> tuple[Part, ...]:
    ordered = order(*arguments)
    return plan_parts(ordered.experiment, ordered.opened, Flags(ordered.training, ordered.sets), ordered.file)


def trained(*arguments: str) -> list[RunSpec]:
    return [spec for spec in all_specs(parts(*arguments)) if spec.training is not None]


def written(folder: Path, text: str, name: str = "exp.yaml") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_an_experiment_file_plans_what_its_command_plans() -> None:
    methods = ("tau", "predrnn", "convlstm", "phydnet")
    asked = make_plan(Request(methods, load_benchmark("taxinyc"), "quick", (0, 1, 2)))
    found = all_specs(parts("--config", str(TAXINYC_QUICK)))
    assert [spec.run_id for spec in found] == [spec.run_id for spec in asked.specs]
    assert len(found) == 2 + 3 * len(methods)


@pytest.mark.parametrize(
    ("given", "seeds"),
    [
        (3, (3,)),
        ("0,2", (0, 2)),
        ("0..3", (0, 1, 2, 3)),
        ([5, "7..8", 1], (5, 7, 8, 1)),
        ("4..4", (4,)),
    ],
)
def test_seeds(given: object, seeds: tuple[int, ...]) -> None:
    assert split_numbers(given) == seeds


@pytest.mark.parametrize("given", [-1, "0,0", "1..0", "0..99999999", [], "a", 1.5, [True], str(1 << 63)])
def test_seeds_that_are_none(given: object) -> None:
    with pytest.raises(ValueError, match=r"expected|different|range"):
        split_numbers(given)


def test_several_datasets_and_protocols(tmp_path: Path) -> None:
    text = """
methods: [convlstm]
datasets:
  - {name: moving_digits, settings: {convlstm: {lr: 0.5}}}
  - {name: taxinyc, protocols: [quick, paper]}
protocols: quick
settings: {convlstm: {lr: 0.25}}
"""
    planned = parts("--config", written(tmp_path, text))
    assert [(part.specs[-1].benchmark, part.specs[-1].protocol) for part in planned] == [
        ("moving_digits", "quick"),
        ("taxinyc", "quick"),
        ("taxinyc", "paper"),
    ]
    rates = [part.specs[-1].training.lr for part in planned if part.specs[-1].training is not None]
    assert rates == [0.5, 0.25, 0.25]


def test_what_overrides_what(tmp_path: Path) -> None:
    """Protocol < keys of the file < its settings < flags < --set; each value knows its origin."""
    text = (
        SMALL + "epochs: 5\nbatch_size: 4\nsettings: {patience: 7, batch_size: 2, convlstm: {lr: 0.5, hidden: [4]}}\n"
    )
    file = written(tmp_path, text)
    (plain,), (over,) = trained("--config", file), trained("--config", file, "--epochs", "9", "--set", "convlstm.lr=1")
    assert plain.training is not None
    assert over.training is not None
    assert (plain.training.epochs, plain.training.batch_size, plain.training.patience) == (5, 2, 7)
    assert (plain.training.lr, plain.config["hidden"]) == (0.5, [4])
    assert plain.origins["training.lr"] == plain.origins["config.hidden"] == plain.origins["training.epochs"] == file
    assert (over.training.epochs, over.training.lr, over.training.batch_size) == (9, 1, 2)
    assert (over.origins["training.epochs"], over.origins["training.lr"]) == ("--epochs", "--set")


def test_a_file_equals_the_same_words_on_the_command_line(tmp_path: Path) -> None:
    text = (
        SMALL + "settings: {convlstm: {hidden: [4], lr: 0.00001}, dataset: {test_clips: 8}, evaluation: {val_clips: 4}}"
    )
    sets = ("convlstm.hidden=[4]", "convlstm.lr=1e-5", "dataset.test_clips=8", "evaluation.val_clips=4")
    words = [word for text_ in sets for word in ("--set", text_)]
    from_file = all_specs(parts("--config", written(tmp_path, text)))
    from_words = all_specs(parts("--methods", "convlstm", "-d", "moving_digits", "--protocol", "quick", *words))
    assert [spec.run_id for spec in from_file] == [spec.run_id for spec in from_words]


def test_a_budget_replaces_the_epochs_of_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, SMALL + "epochs: 5\n")
    (spec,) = trained("--config", file, "--budget", "10min")
    assert spec.training is not None
    assert spec.training.time_limit == 600
    assert order("--config", file, "--budget", "10min").experiment.epochs is None


def test_extends(tmp_path: Path) -> None:
    written(tmp_path, SMALL + "budget: 1h\nsettings: {convlstm: {lr: 0.5, hidden: [4]}}\n", "base.yaml")
    file = written(tmp_path, "extends: base.yaml\nepochs: 2\nseeds: [1, 2]\nsettings: {convlstm: {lr: 0.25}}\n")
    specs = trained("--config", file)
    assert [spec.seed for spec in specs] == [1, 2]
    assert specs[0].training is not None
    assert (specs[0].training.epochs, specs[0].training.lr, specs[0].config["hidden"]) == (2, 0.25, [4])
    circle = written(tmp_path, "extends: b.yaml\n", "a.yaml")
    written(tmp_path, "extends: [a.yaml]\n", "b.yaml")
    with pytest.raises(UserError, match="extends itself"):
        order("--config", circle)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("method: tau", r"exp.yaml: unknown key 'method'.*Did you mean 'methods'"),
        ("seeds: 0..x", r"seeds = '0..x': expected whole numbers"),
        ("settings: {tua: {lr: 1}}", r"Unknown method in .*exp.yaml 'tua'"),
        ("settings: {convlstm: {hiden: [1]}}", r"exp.yaml convlstm.hiden=\[1\]: unknown key 'hiden'.*'hidden'"),
        ("settings: {epoch: 2}", r"Unknown key in .*exp.yaml 'epoch'. Did you mean 'epochs'"),
        ("budget: 1h\nepochs: 2", "budget and epochs both say how long"),
        ("tags: [a/b]", "use letters, digits"),
        ("datasets: [{name: moving_digits, data: {t_in: 2}}]", "only for your own data"),
        ("datasets: [moving_digit]", "Did you mean 'moving_digits'"),
        ("extends: 3", "expected a file, or a list of files"),
        ("extends: no.yaml", "Cannot read"),
        ("seeds: 1\nseeds: 2", "occurs twice"),
        ("devices: 0", "devices = 0"),
    ],
)
def test_mistakes_are_one_clear_error(tmp_path: Path, text: str, said: str) -> None:
    key = text.partition(":")[0]
    lines = [line for line in SMALL.splitlines() if not line.startswith(f"{key}:")]
    with pytest.raises(UserError, match=said) as caught:
        parts("--config", written(tmp_path, "\n".join([*lines, text])))
    assert "\n" not in str(caught.value)


def test_nothing_to_run_is_told() -> None:
    with pytest.raises(UserError, match="--methods and --dataset"):
        order()
    with pytest.raises(UserError, match="only beside --dataset"):
        order("--methods", "tau", "--t-in", "3")


def test_the_executor_of_the_file_and_of_the_command(tmp_path: Path) -> None:
    file = written(tmp_path, SMALL + "executor: {kind: processes, jobs: 3, threads: 2}\n")
    kinds = [
        order("--config", file, *words).experiment.executor
        for words in ([], ["--executor-set", "jobs=1"], ["--jobs", "2"], ["--executor", "local"])
    ]
    assert [(choice.kind, choice.settings) for choice in kinds] == [
        ("processes", {"jobs": 3, "threads": 2}),
        ("processes", {"jobs": 1, "threads": 2}),
        ("processes", {"jobs": 2, "threads": 2}),
        ("local", {}),
    ]


@pytest.mark.parametrize("benchmark", benchmarks()[:-1], ids=lambda benchmark: benchmark.name)
def test_the_spec_of_a_run_is_an_experiment(tmp_path: Path, benchmark) -> None:
    specs = make_plan(Request(["tau"], benchmark, next(iter(benchmark.protocols)), (3,))).specs
    spec = specs[-1]
    folder = RunFolder(tmp_path / spec.folder)
    folder.create(spec)
    ordered = order("--config", str(folder.file("spec.yaml")), "--out", str(tmp_path / "again"))
    assert ordered.spec is not None
    (again,) = rerun_part(ordered.spec, ordered.seeds, ordered.experiment).specs
    assert (again.run_id, again.folder) == (spec.run_id, spec.folder)


def test_the_processes_of_a_trained_run_are_in_its_spec(tmp_path: Path) -> None:
    """One process leaves no trace in the spec and its hash; a run of several is done again with as many."""
    alone = make_plan(Request(["tau"], "moving_digits", "quick")).specs[-1]
    assert not {"world_size", "nodes"} & set(alone.model_dump())
    spec = alone.model_copy(update={"world_size": 4, "nodes": 2})
    assert spec.run_id != alone.run_id
    folder = RunFolder(tmp_path / spec.folder)
    folder.create(spec)
    file = str(folder.file("spec.yaml"))
    ordered = order("--config", file)
    assert ordered.spec is not None
    assert (ordered.experiment.devices, ordered.experiment.nodes) == (2, 2)
    (again,) = rerun_part(ordered.spec, None, ordered.experiment).specs
    assert (again.folder, again.world_size, again.nodes) == (spec.folder, 4, 2)
    smaller = order("--config", file, "--devices", "1", "--nodes", "1")
    (one,) = rerun_part(ordered.spec, None, smaller.experiment).specs
    assert one.run_id == alone.run_id


def test_beside_a_spec_only_seeds_and_the_machine_count(tmp_path: Path) -> None:
    spec = make_plan(Request(["tau"], "moving_digits", "quick")).specs[-1]
    folder = RunFolder(tmp_path / spec.folder)
    folder.create(spec)
    file = str(folder.file("spec.yaml"))
    ordered = order("--config", file, "--seeds", "5..6")
    assert ordered.spec is not None
    others = rerun_part(ordered.spec, ordered.seeds, ordered.experiment).specs
    asked = make_plan(Request(["tau"], "moving_digits", "quick", (5, 6))).specs[-2:]
    assert [other.run_id for other in others] == [spec.run_id for spec in asked]
    for words in (["--epochs", "2"], ["--set", "lr=1"], ["--methods", "tau"], ["--t-in", "3"]):
        with pytest.raises(UserError, match=f"{words[0]}: .* has decided this"):
            order("--config", file, *words)
    folder.create(spec.model_copy(update={"weights": "abc"}))
    with pytest.raises(UserError, match="stbench evaluate --checkpoint"):
        order("--config", file)


def test_labels_do_not_enter_the_run_id_and_add_up(tmp_path: Path) -> None:
    (spec,) = trained("--methods", "convlstm", "-d", "moving_digits", "--protocol", "quick")
    named = order("--methods", "convlstm", "-d", "moving_digits", "--name", "x", "--tag", "a", "--tag", "b").experiment
    assert isinstance(named, Experiment)
    assert (named.name, named.tags) == ("x", ("a", "b"))
    folder = RunFolder(tmp_path / spec.folder)
    folder.create(spec)
    Labeller(tmp_path, "x", ("a", "b")).run_listener(spec, 1, 1)
    Labeller(tmp_path, "", ("b", "c")).run_done(spec, "already done", None)
    assert folder.labels() == {"names": ["x"], "tags": ["a", "b", "c"]}
    assert folder.spec().run_id == spec.run_id
