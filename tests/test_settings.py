"""The one grammar of settings: keys of ``--set``, layers with origins, and YAML within bounds."""

import random
import time
from pathlib import Path

import pytest
import yaml

from stbench.errors import UserError
from stbench.settings import LARGEST_FILE, below, load_yaml, merge, parse_override, put, read_yaml, resolve


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("lr=1", "lr", "1"),
        (" tau.lr = 2 ", "tau.lr", "2"),
        ("dataset.split.train=(?=a)", "dataset.split.train", "(?=a)"),
        ("tau:no_sa.lr=a=b", "tau:no_sa.lr", "a=b"),
        ("tau:hid_t=48.lr=3", "tau:hid_t=48.lr", "3"),
        ("tau:drop=0.1:n_t=3.schedule.warmup=3", "tau:drop=0.1:n_t=3.schedule.warmup", "3"),
        ("lr=", "lr", ""),
    ],
)
def test_a_pair_is_split_behind_its_key(text: str, key: str, value: str) -> None:
    assert parse_override(text) == (key, value)


@pytest.mark.parametrize("text", ["", "=", "a", ".a=1", "a.=1", "a..b=1", "a b=1", "tau:no_sa=3", "tau:=3"])
def test_what_is_no_pair_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="expected KEY=VALUE"):
        parse_override(text)


def test_later_overrides_win_and_conflicts_are_told() -> None:
    assert below([("a.x", "1"), ("b.x", "2"), ("a.y.z", "[3]"), ("a.x", "4")], "a") == {"x": 4, "y": {"z": [3]}}
    with pytest.raises(UserError, match="'x' was set to a plain value before"):
        below([("a.x", "1"), ("a.x.y", "2")], "a")
    with pytest.raises(UserError, match=r"--set a\.x=\[1: cannot read the value"):
        below([("a.x", "[1")], "a")


def reference_merge(base: dict, over: dict) -> dict:
    """The rule, written for whole mappings: the other's kind replaces, else key by key."""
    if "kind" in base and "kind" in over and base["kind"] != over["kind"]:
        return over
    keys = [*base, *(key for key in over if key not in base)]
    return {
        key: reference_merge(base[key], over[key])
        if isinstance(base.get(key), dict) and isinstance(over.get(key), dict)
        else over.get(key, base.get(key))
        for key in keys
    }


def random_tree(draw: random.Random, depth: int = 3) -> dict:
    keys = draw.sample(["a", "b", "kind"], draw.randint(0, 3))
    return {
        key: random_tree(draw, depth - 1) if depth and key != "kind" and draw.random() < 0.6 else draw.randint(0, 2)
        for key in keys
    }


def test_merge_agrees_with_the_rule_and_changes_no_layer() -> None:
    draw = random.Random(0)
    for _ in range(300):
        layers = [random_tree(draw) for _ in range(3)]
        before = [yaml.safe_dump(layer) for layer in layers]
        expected = reference_merge(reference_merge(layers[0], layers[1]), layers[2])
        assert merge(merge(layers[0], layers[1]), layers[2]) == expected
        assert [yaml.safe_dump(layer) for layer in layers] == before


def test_every_leaf_knows_its_layer() -> None:
    layers = [
        ("file", {"schedule": {"kind": "cosine", "min_lr": 0}, "lr": 1, "augment": {}}),
        ({"augment.crop": "fragment", "lr": "file 2"}, {"augment": {"crop": 0.5}, "lr": 2}),
        ("--set", {"schedule": {"kind": "constant"}}),
    ]
    assert resolve(layers).origins == {"schedule.kind": "--set", "lr": "file 2", "augment.crop": "fragment"}


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (bomb(9), "values once its aliases are expanded"),
        ("[" * 40 + "]" * 40, "nested more than 32 levels deep"),
        ("[" * 500_000, "nest"),
        ("a: &a [*a]", "refers to itself"),
        ("x: '" + "y" * LARGEST_FILE + "'", "more than 1000000 bytes"),
        ("lr: 1\nlr: 2", "the key 'lr' occurs twice (line 2)"),
        ("a: [", "flow"),
        ("9" * 5000, "4300"),
        ("when: !!timestamp soon", "a tag that does not fit"),
        ("!!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: 1\n---\na: 2", "single document"),
        ("a: *b", "undefined alias"),
    ],
)
def test_a_hostile_file_is_one_user_error(text: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "protocol.yaml"
    file.write_text(text)
    started = time.process_time()
    with pytest.raises(UserError) as error:
        read_yaml(file, dict)
    assert time.process_time() - started < 2
    assert reason in str(error.value)
    assert str(error.value).startswith(f"{file} is not valid YAML: ")


def test_aliases_within_bounds_are_read() -> None:
    text = "base: &base {a: 1, b: [1, 2]}\nmore: {<<: *base, b: 3}\nagain: *base"
    assert load_yaml(text) == yaml.safe_load(text)


def test_other_bytes_and_other_kinds_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "downloads.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="is not valid YAML"):
        read_yaml(file, list)
    file.write_text("a: 1")
    with pytest.raises(UserError, match="must hold a list, found dict"):
        read_yaml(file, list)
    with pytest.raises(UserError, match="Cannot read"):
        read_yaml(tmp_path, list)


def test_put_makes_the_mappings_on_the_way() -> None:
    target: dict = {}
    put(target, ["a", "b"], 1)
    put(target, ["a", "c"], 2)
    assert target == {"a": {"b": 1, "c": 2}}
