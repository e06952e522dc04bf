"""PublicLayout on a made-up method: rules in order, dead keys, copies, and errors that name the key."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

from stbench.errors import UserError
from stbench.nn import PublicLayout

LAYOUT = PublicLayout(
    renames=((r"^a\.", "x."), (r"^x\.(\d)", r"y.\1")),
    dead=(r"dead\.\d",),
    copies=((r"^second\.", ""),),
)
OWN = {"a.0": torch.zeros(2), "b": torch.zeros(3)}
FILE = {"y.0": torch.ones(2), "b": torch.ones(3)}


def test_renames_apply_in_order() -> None:
    assert LAYOUT.key_map(OWN) == {"a.0": "y.0", "b": "b"}


def test_dead_keys_are_dropped_and_equal_copies_merged() -> None:
    own = LAYOUT.to_own({**FILE, "dead.1": torch.ones(9), "second.b": torch.ones(3)}, OWN, "Made-up")
    assert {key: value.tolist() for key, value in own.items()} == {"a.0": [1, 1], "b": [1, 1, 1]}


def test_a_copy_alone_is_enough() -> None:
    own = LAYOUT.to_own({"y.0": FILE["y.0"], "second.b": torch.full((3,), 2.0)}, OWN, "Made-up")
    assert own["b"].tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ({"b": FILE["b"]}, "missing: y.0."),
        ({**FILE, "dead.x": torch.ones(1)}, "unexpected: dead.x."),
        ({**FILE, "b": torch.ones(3, 1)}, "shape: b is (3, 1), expected (3,)."),
        ({**FILE, "second.b": torch.zeros(3)}, "two copies of 'b' that differ"),
        ({**FILE, **{f"k{i}": torch.ones(1) for i in range(10)}}, "k7 and 2 more"),
    ],
)
def test_errors(file: dict[str, Tensor], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        LAYOUT.to_own(file, OWN, "Made-up")
    assert "Made-up" in str(caught.value)
