"""A table's title states how the checkpoints of its rows were selected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stbench.report.analysis.table import make_tables
from stbench.report.writers.markdown import table_markdown
from tests.report.runs import make_run, make_spec

UNTRAINED: dict[str, Any] = {"training": None}
PUBLISHED: dict[str, Any] = {"training": None, "weights": "0" * 64}
HERE = "checkpoints selected on validation"
GIVEN = "beta@file.pth: public weights, scored as they are"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ({"alpha": {}, "still": UNTRAINED}, f"({HERE})"),
        ({"still": UNTRAINED, "beta@file.pth": PUBLISHED}, f"({GIVEN})"),
        ({"alpha": {}, "beta@file.pth": PUBLISHED}, f"({HERE}; {GIVEN})"),
        ({"still": UNTRAINED}, "(nothing trained)"),
    ],
    ids=["trained", "published", "both", "neither"],
)
@pytest.mark.parametrize("selection", ["validation", "test"])
def test_title(rows: dict[str, dict[str, Any]], expected: str, selection: str, tmp_path: Path) -> None:
    records = [
        make_run(tmp_path, make_spec(name, selection=selection, **changes), np.ones((4, 3)))
        for name, changes in rows.items()
    ]
    (table,) = make_tables(records)
    if selection == "test":
        expected = expected.replace("selected on validation", "SELECTED ON TEST")
    assert expected in table.title
    assert table_markdown(1, table, tmp_path).startswith(f"## {table.title}")
