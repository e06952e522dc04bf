"""Terminal tables at any width: no line is too long, no value is cut or wrapped, and what is left out is named."""

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from stbench.report.analysis.table import Table, make_tables
from stbench.report.collect.records import collect
from stbench.report.writers.terminal import fit, plain_width, to_rich
from tests.report.runs import make_run, make_spec, noisy


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """Two methods with many seeds, one of them under a name of 70 characters."""
    root = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    for method in ("alpha", "custom:" + "width=3-" * 8):
        for seed in range(2):
            made = noisy(rng, 1000.0)
            make_run(root, make_spec(method, seed), made, macs=10**9, train_seconds=50.0)
    (found,) = make_tables(collect([root]).records)
    return found


def printed(table: Table, width: int) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as shown:
        console.print(to_rich(table, width))
    return shown.get().splitlines()


@pytest.mark.parametrize("width", [30, 44, 60, 80, 120, 160])
def test_no_line_is_too_long_and_no_value_is_broken(table: Table, width: int) -> None:
    lines = printed(table, width)
    assert max(map(len, lines)) <= width
    for row in table.rows:
        assert any(str(row.cells["mse_frame"]) in line for line in lines)


def test_what_does_not_fit_is_named(table: Table) -> None:
    narrow, wide = "\n".join(printed(table, 60)), "\n".join(printed(table, 160))
    assert "Hidden columns (terminal too narrow):" in narrow
    for heading in ("MACs", "s/epoch", "training"):
        assert heading in narrow.partition("Hidden columns")[2]
        assert heading in wide
    assert "Hidden columns" not in wide


def test_lists_where_no_table_fits(table: Table) -> None:
    lines = printed(table, 30)
    assert "alpha" in lines
    assert f"  mse_frame ↓: {table.rows[0].cells['mse_frame']}" in lines
    assert "  MACs: 1 G" in lines


def test_the_most_wanted_columns_stay() -> None:
    heads, rows = ["name", "a", "b", "c"], [["x", "1" * 10, "2" * 10, "3" * 10]]
    made, left_out = fit(heads, rows, [0, 3, 1, 2], 26)
    assert made is not None
    assert [column.header for column in made.columns] == ["name", "c"]
    assert left_out == ["a", "b"]
    assert fit(heads, rows, [0, 3, 1, 2], 12) == (None, [])


def test_a_file_has_room_for_everything(table: Table, tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        console = plain_width(Console(file=file))
        console.print(to_rich(table, console.width))
    assert "Hidden columns" not in (tmp_path / "log").read_text()
