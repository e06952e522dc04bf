"""Scenarios as tables of text and as tidy CSV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stbench.report.analysis.intervals import Interval
from stbench.report.analysis.scenarios import ScenarioTable
from stbench.report.analysis.table import Table
from stbench.report.numbers import arrow, format_value
from stbench.report.writers.cells import Sheet
from stbench.report.writers.csv import as_csv

CSV_COLUMNS = (
    *("benchmark", "protocol", "method", "seed", "scenario", "case", "value", "lead_time", "metric", "score"),
    *("clips", "of_clips", "run"),
)


def scenario_sheets(table: Table) -> list[Sheet]:
    """A table of text for each scenario and metric."""
    return [_sheet(scenario) for scenario in table.scenarios]


def _sheet(scenario: ScenarioTable) -> Sheet:
    skills = scenario.skills
    last = scenario.columns[-1].label
    heads = ["method", *(column.label for column in scenario.columns), f"{last} / {scenario.columns[0].label}"]
    rows = []
    for row in scenario.rows:
        cells = [row.row.label, *map(_text, row.scores), _text(row.ratios[-1])]
        rows.append((*cells, *([format_value(skills[row.row.label])] if skills else [])))
    clips = scenario.rows[0]
    notes = [
        f"{clips.clips} of {clips.of_clips} scored test clips: the same ones in every column. Brackets: 95 % interval.",
    ]
    if any(row.row.trained and len(row.records) == 1 for row in scenario.rows):
        notes.append("A trained row with one seed: its interval covers other test clips, not other seeds.")
    notes += [
        f"Rank histogram of {case.label}: {', '.join(map(str, case.rank_histogram))}."
        for case in scenario.result.cases
        if case.rank_histogram
    ]
    return Sheet(
        f"{scenario.name}, {scenario.metric} {arrow(scenario.metric)}",
        (*heads, *([f"skill at {last}"] if skills else [])),
        tuple(rows),
        tuple(notes),
    )


def _text(interval: Interval) -> str:
    shown = format_value(interval.centre)
    if interval.low is None or interval.high is None:
        return shown
    return f"{shown} [{format_value(interval.low)}, {format_value(interval.high)}]"


def scenarios_csv(tables: Sequence[Table]) -> str:
    """One line for each run, case, lead time (empty: the total) and metric."""
    return as_csv(CSV_COLUMNS, (line for table in tables for line in _lines(table)))


def _lines(table: Table) -> Iterable[list[object]]:
    for record in table.records:
        spec = record.spec
        head = [spec.benchmark, spec.protocol, spec.method, spec.seed]
        for name, result in record.scenarios.items():
            for case in result.cases:
                value = "" if case.value is None else repr(case.value)
                tail = [case.clips, case.of_clips, record.name]
                for metric, score in case.metrics.items():
                    yield [*head, name, case.label, value, "", metric, repr(score.total), *tail]
                    for lead, at in enumerate(score.lead_times, start=1):
                        yield [*head, name, case.label, value, lead, metric, repr(at), *tail]
