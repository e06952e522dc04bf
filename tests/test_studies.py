"""Tables of README.md and docs/studies.md repeat the numbers of the bundles that they name."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from stbench.report.numbers import format_count, format_large, format_spread, format_value

ROOT = Path(__file__).resolve().parents[1]
COLUMN = re.compile(r"(mse_frame|mae_frame|ssim|psnr|wmape)")
MARKS = str.maketrans("", "", "*≈†")


def tables(page: str) -> list[tuple[str, list[list[str]]]]:
    """Every table whose next link is to a study's report: the study's name, and the table's cells."""
    found = []
    for table, after in re.findall(r"((?:^\|.*\n)+)((?:(?!^\|).*\n)*)", (ROOT / page).read_text(), re.MULTILINE):
        named = re.search(r"results/(study-[\w-]+)/report\.md", after)
        if named:
            rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in table.splitlines()]
            found.append((named[1], [rows[0], *rows[2:]]))
    return found


ALL = [(page, *table) for page in ("README.md", "docs/studies.md") for table in tables(page)]


def plain(cell: str) -> str:
    return re.sub(r"</?u>", "", cell).translate(MARKS).strip()


def test_there_are_such_tables() -> None:
    assert {page for page, *_ in ALL} == {"README.md", "docs/studies.md"}


@pytest.mark.parametrize(("page", "study", "rows"), ALL, ids=[f"{page}: {study}" for page, study, _ in ALL])
def test_scores_and_costs_are_those_of_the_bundle(page: str, study: str, rows: list[list[str]]) -> None:
    summary = pd.read_csv(ROOT / "results" / study / "summary.csv")
    summary["row"] = summary["row"].str.replace(" (shared encoder)", "", regex=False)
    head = rows[0]
    compared = 0
    for cells in rows[1:]:
        own = summary[summary["row"] == cells[0]].set_index("metric")
        assert len(own), cells[0]
        for name, cell in zip(head[1:], cells[1:], strict=True):
            metric = COLUMN.search(name)
            if metric:
                known = own.loc[metric[1]]
                spread = pd.notna(known["std"])
                said = format_spread(known["mean"], known["std"]) if spread else format_value(known["mean"])
                assert plain(cell) == said, (cells[0], name)
                assert ("≈" in cell) == (known["tied"] == 1), (cells[0], name)
            elif name in ("MACs", "params"):
                costs = own.loc["mse_frame"]
                said = format_large(costs["macs"]) if name == "MACs" else format_count(int(costs["parameters"]))
                assert plain(cell) == said, (cells[0], name)
            elif name.startswith("skill"):
                known = own.loc["skill_mse_persistence"]
                interval = f" [{known['low']:.3f}, {known['high']:.3f}]" if pd.notna(known["low"]) else ""
                assert cell.replace("−", "-") == (f"{known['mean']:.3f}{interval}" if interval else "0"), cells[0]
            elif name.startswith("minus the best") and cell == "–":
                assert pd.isna(own.loc["mse_frame", "low"]), cells[0]
            elif name.startswith("minus the best") and cell == "best":
                assert own.loc["mse_frame", "rank"] == 1, cells[0]
            elif name.startswith("minus the best"):
                low, high = (own.loc["mse_frame", side] for side in ("low", "high"))
                shown = [float(number) for number in re.findall(r"[−-]?[\d.]+", cell.replace("−", "-"))]
                expected = [own.loc["mse_frame", "minus_best"], low, high]
                assert shown == pytest.approx(
                    expected, abs=0.5001 * 10 ** -len(cell.split("[")[0].strip().split(".")[1])
                )
            else:
                continue
            compared += 1
    assert compared >= len(rows) - 1
