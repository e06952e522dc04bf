"""Reading benchmark folders: inheritance between protocols, and messages that name file and key."""

import pytest
import yaml

from stbench.data.benchmarks.lookup import (
    BENCHMARKS,
    card,
    dataset_spec,
    get_protocol,
    load_benchmark,
    needs_files,
    published_table,
)
from stbench.errors import UserError
from stbench.schema.protocol import Stated
from stbench.settings import merge

BASE = {
    "name": "toy",
    "version": 1,
    "title": "Toy",
    "shape": {"t_in": 2, "t_out": 2, "channels": 1, "height": 8, "width": 8},
    "dataset": {"reader": "flow_grid", "options": {"files": ["a.h5"], "split": {"kind": "last_windows", "test": 5}}},
    "units": "none",
    "protocols": {
        "paper": {
            "description": "long",
            "training": {
                "epochs": 9,
                "batch_size": 4,
                "lr": 0.1,
                "schedule": {"kind": "cosine", "warmup_epochs": 2},
            },
            "evaluation": {"metrics": ["mse_frame"]},
            "methods": {"one": {"config": {"a": 1, "b": 2}}},
        },
        "quick": {
            "extends": "paper",
            "description": "short",
            "training": {"epochs": 1, "schedule": {"kind": "constant"}},
            "methods": {"one": {"config": {"b": 3}}, "two": {"config": {"c": 4}}},
            "dataset": {"split": {"test": 2}},
        },
    },
}


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A folder registered as the benchmark ``toy``; call it to write protocol.yaml with changes merged in."""
    monkeypatch.setitem(BENCHMARKS._loaded, "toy", tmp_path)

    def write(**changes):
        (tmp_path / "protocol.yaml").write_text(yaml.safe_dump(merge(BASE, changes)))
        return tmp_path

    return write


def test_extends_merges_deeply(toy):
    toy()
    benchmark = load_benchmark("toy")
    quick = get_protocol(benchmark, "quick")
    assert quick.training.epochs == 1
    assert quick.training.batch_size == 4
    assert quick.training.schedule.kind == "constant"
    assert quick.settings("one").config == {"a": 1, "b": 3}
    assert quick.settings("two").config == {"c": 4}
    assert get_protocol(benchmark, "paper").settings("one").config == {"a": 1, "b": 2}
    assert dataset_spec(benchmark, quick).options["split"] == {"kind": "last_windows", "test": 2}
    assert needs_files(benchmark)


def test_extends_of_extends(toy):
    toy(protocols={"tiny": {"extends": "quick", "training": {"lr": 0.5}}})
    tiny = load_benchmark("toy").protocols["tiny"]
    assert (tiny.training.epochs, tiny.training.lr, tiny.description) == (1, 0.5, "short")


def test_fragments_rank_below_the_file_and_name_themselves(toy):
    folder = toy(include=["low.yaml", "parts/high.yaml"], family="toys")
    (folder / "parts").mkdir()
    (folder / "low.yaml").write_text("units: low\nprotocols: {paper: {training: {epochs: 1, patience: 2}}}")
    (folder / "parts" / "high.yaml").write_text("include: [base.yaml]\nprotocols: {quick: {training: {patience: 3}}}")
    (folder / "parts" / "base.yaml").write_text(
        "dataset: {options: {first: 1}}\nprotocols: {quick: {training: {lr: 7}}}"
    )
    benchmark = load_benchmark("toy")
    paper, quick = benchmark.protocols["paper"], benchmark.protocols["quick"]
    assert (benchmark.units, benchmark.family) == ("none", "toys")
    assert (paper.training.epochs, paper.training.patience, paper.training.lr) == (9, 2, 0.1)
    assert (quick.training.epochs, quick.training.patience, quick.training.lr) == (1, 3, 7)
    own = Stated("quick", "toy protocol quick")
    parts = list(quick.parts("training", quick.training.model_dump(exclude_unset=True), own))
    assert [part.protocol for part in parts] == ["paper", "quick"]
    assert parts[0].origins["batch_size"] == "toy protocol paper"
    assert parts[1].origins["patience"] == "fragment parts/high.yaml protocol quick"
    assert parts[1].origins["lr"] == "fragment base.yaml protocol quick"
    options = benchmark.dataset.options
    assert benchmark.origins("dataset.options", options, "?")["first"] == "fragment base.yaml"
    assert "family" not in benchmark.model_dump()


@pytest.mark.parametrize(
    ("include", "files", "message"),
    [
        (["traffik"], {}, "include: Unknown fragment 'traffik'. Did you mean 'traffic'?"),
        (["gone.yaml"], {}, "gone.yaml is missing"),
        ("traffic", {}, "'include' must be a list of names or files, found 'traffic'"),
        (["a.yaml"], {"a.yaml": "include: [b.yaml]", "b.yaml": "include: [a.yaml]"}, "include runs in a circle"),
        (["a.yaml"], {"a.yaml": "- x"}, "a.yaml must hold a mapping of keys, found list"),
        (["a.yaml"], {"a.yaml": "titel: x"}, "unknown key 'titel' (fragment a.yaml). Did you mean 'title'?"),
    ],
)
def test_a_wrong_include_names_the_fragment(toy, include, files, message):
    folder = toy(include=include)
    for name, text in files.items():
        (folder / name).write_text(text)
    with pytest.raises(UserError) as error:
        load_benchmark("toy")
    assert message in str(error.value)


def test_a_third_party_includes_a_shipped_family_by_name(toy):
    folder = toy()
    own = {key: BASE[key] for key in ("name", "version", "title", "units")}
    changes = {"include": ["traffic"], "shape": {"height": 8, "width": 8}}
    (folder / "protocol.yaml").write_text(yaml.safe_dump({**own, **changes}))
    benchmark = load_benchmark("toy")
    assert benchmark.family == "traffic"
    assert benchmark.protocols["quick"].training == load_benchmark("taxinyc").protocols["quick"].training


def test_unknown_protocol_suggests(toy):
    toy()
    with pytest.raises(UserError, match=r"Unknown protocol of toy 'papre'\. Did you mean 'paper'\?"):
        get_protocol(load_benchmark("toy"), "papre")


def test_unknown_benchmark_suggests():
    with pytest.raises(UserError, match=r"Unknown benchmark 'taxinycc'\. Did you mean 'taxinyc'\?"):
        load_benchmark("taxinycc")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protocols": {"quick": {"training": {"epoch": 3}}}}, r"unknown key 'protocols\.quick\.training\.epoch'"),
        ({"protocols": {"quick": {"extends": "papr"}}}, r"protocols\.quick\.extends: Unknown protocol 'papr'.*'paper'"),
        ({"protocols": {"paper": {"extends": "quick"}}}, r"extends runs in a circle: paper -> quick -> paper"),
        ({"protocols": {"quick": None}}, r"protocols\.quick must be a mapping of keys, found None"),
        ({"protocols": []}, r"'protocols' must be a mapping with at least one protocol"),
        ({"shape": {"height": 0}}, r"height = 0"),
        ({"titel": "x"}, r"unknown key 'titel'\. Did you mean 'title'"),
    ],
)
def test_mistakes_name_file_and_key(toy, changes, message):
    folder = toy(**changes)
    with pytest.raises(UserError, match=message) as caught:
        load_benchmark("toy")
    assert str(folder / "protocol.yaml") in str(caught.value)


def test_broken_or_missing_files(toy, tmp_path):
    with pytest.raises(UserError, match=r"protocol\.yaml is missing"):
        load_benchmark("toy")
    (tmp_path / "protocol.yaml").write_text("name: [")
    with pytest.raises(UserError, match=r"protocol\.yaml is not valid YAML"):
        load_benchmark("toy")
    (tmp_path / "protocol.yaml").write_text("just text")
    with pytest.raises(UserError, match="must hold a mapping of keys, found str"):
        load_benchmark("toy")
    with pytest.raises(UserError, match="'toy' has no card"):
        card("toy")
    assert published_table("toy") is None
