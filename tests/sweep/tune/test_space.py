"""The space of a search: what it means, and every mistake in it as one message."""

from pathlib import Path

import pytest

from stbench.errors import UserError
from stbench.sweep.tune.space import Domain, Space, read_space

METHODS = ("tau", "tau:no_sa", "convlstm")


def read(folder: Path, text: str, methods: tuple[str, ...] = METHODS) -> dict[str, Space]:
    file = folder / "space.yaml"
    file.write_text(text)
    return read_space(file, methods)


def test_what_is_for_all_and_what_is_for_one(tmp_path: Path) -> None:
    """Nested and dotted keys mean the same; the narrower section wins, wherever it stands."""
    spaces = read(
        tmp_path,
        """
        tau:no_sa.training.lr: {log: [1e-5, 1e-3]}
        tau: {hid_t: {choice: [64, 128]}, lr: {float: [0.1, 1]}}
        training: {lr: {log: [1e-4, 0.01]}}
        batch_size: {int: [2, 8]}
        convlstm.config.hidden: {choice: [[32], [64, 64]]}
        """,
    )
    size, hid_t = Domain("int", (2, 8)), Domain("choice", ("64", "128"))
    assert spaces == {
        "tau": {"training.batch_size": size, "config.hid_t": hid_t, "training.lr": Domain("float", (0.1, 1.0))},
        "tau:no_sa": {"training.batch_size": size, "config.hid_t": hid_t, "training.lr": Domain("log", (1e-5, 1e-3))},
        "convlstm": {
            "training.lr": Domain("log", (1e-4, 0.01)),
            "training.batch_size": size,
            "config.hidden": Domain("choice", ("[32]", "[64, 64]")),
        },
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("training.lrr: {log: [1e-4, 1e-2]}", "Did you mean 'lr'"),
        ("lrr: {log: [1e-4, 1e-2]}", "Did you mean 'lr'"),
        ("tauu.lr: {log: [1e-4, 1e-2]}", "Did you mean 'tau'"),
        ("tau.hid_tt: {int: [1, 2]}", "Did you mean 'hid_t'"),
        ("lr: {logg: [1e-4, 1e-2]}", "Did you mean 'log'"),
        ("lr: {log: [1e-2, 1e-4]}", r"the lower end comes first. Write \[1e-4, 1e-2\]"),
        ("lr: {log: [0, 1e-2]}", "begins above 0"),
        ("lr: {float: [1, 1]}", "both ends are equal"),
        ("lr: {float: [1, 2, 3]}", r"expected \[low, high\]"),
        ("lr: {float: [low, 2]}", "'low' is no number"),
        ("lr: {float: [.nan, 2]}", "nan is no number"),
        ("lr: {log: [true, 2]}", "True is no number"),
        ("batch_size: {int: [2, 4.5]}", "4.5 is no whole number"),
        ("batch_size: {choice: [8]}", "at least two values"),
        ("batch_size: {choice: [8, 16, 8]}", "listed twice"),
        ("batch_size: {choice: 8}", "expected a list"),
        ("lr: {log: [1e-4, 1e-2], step: 2}", "expected one of"),
        ("lr: 0.001", "A fixed value belongs in --set lr="),
        ("lr: {}", "expected"),
        ("training: {lr: {log: [1, 2]}}\ntraining.lr: {log: [1, 2]}", "given twice"),
        ("evaluation.val_clips: {int: [2, 4]}", "would not compare"),
        ("dataset.stride: {int: [2, 4]}", "would not compare"),
        ("precision: {choice: ['32', bf16]}", "one precision"),
        ("convlstm.kernel: {choice: [3, 5]}", "has no setting of tau, so all its trials would be one run"),
        ("- lr", "must hold a mapping"),
    ],
)
def test_mistakes(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(UserError, match=expected) as caught:
        read(tmp_path, text)
    assert "space.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)
