"""Tables of a sweep, printed and written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stbench.errors import counted
from stbench.report.analysis.section import Report, make_report
from stbench.report.collect.odd import without_odd
from stbench.report.collect.records import Collected, collect
from stbench.report.writers.csv import to_csv
from stbench.report.writers.markdown import to_markdown
from stbench.report.writers.terminal import to_rich
from stbench.schema.folder import write_text
from stbench.sweep.executors import Ended
from stbench.sweep.launch import Part, all_specs

if TYPE_CHECKING:
    from rich.console import RenderableType

    from stbench.cli.display import SweepDisplay


def show(parts: Sequence[Part], ended: Sequence[Ended], out: Path, display: SweepDisplay) -> int:
    """Print the tables of a plan's runs and write those of all runs; return the number of runs without a result."""
    names = [spec.folder for spec in all_specs(parts)]

    def made(shown: Collected) -> tuple[Report, dict[str, str], list[RenderableType]]:
        report = make_report(shown)
        texts = {"table.md": to_markdown(report, out), "table.csv": to_csv(report.records)}
        return report, texts, [to_rich(table, display.console.width) for table in report.tables_of(names)]

    report, texts, tables = without_odd(collect([out / "runs"], first=names), made, made)
    for table in tables:
        display.console.print(table)
    own = {record.name: record for record in report.records if record.name in names}
    failed = sum(not record.finished for record in own.values())
    unfinished = sum(run.outcome == "unfinished" for run in ended)
    busy = len(names) - len(own) - unfinished
    told = [
        (failed, "failed; see error.txt in the run folder. To repeat failed runs, add --retry-failed."),
        (unfinished, "unfinished, for the reason above. Repeat the command to continue."),
        (busy, "not in the table: another process is working on it. Repeat the command later to show it."),
    ]
    for count, what in told:
        if count > 0:
            display.note(f"{count} of {counted(len(names), 'run')} {what}")
    for file, text in texts.items():
        write_text(out / file, text)
    display.note(f"Written: {out / 'table.md'}, {out / 'table.csv'} (all runs in {out / 'runs'})")
    return len(names) - len(own) + failed
