"""``stbench report``: tables, figures and a page from run folders."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from stbench.errors import UserError, cannot, unknown_name

if TYPE_CHECKING:
    from rich.console import RenderableType


def report_command(
    runs: Annotated[
        list[Path], typer.Argument(help="Run folders, or folders that contain them, also of several machines.")
    ],
    format_: Annotated[
        str, typer.Option("--format", "-f", help="Comma-separated: md, csv, latex, html, png.")
    ] = "md,csv,latex,html,png",
    profile: Annotated[
        list[Path] | None,
        typer.Option(help="JSON of 'stbench profile', or its folder; a folder 'profile' beside the runs is found."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Output folder of the report.")] = Path("report"),
    bundle: Annotated[
        bool, typer.Option("--bundle", help="Make OUT a bundle: the runs travel with the report; see stbench verify.")
    ] = False,
    weights: Annotated[
        bool, typer.Option("--weights", help="Put the best weights of each run, up to 10 MB, into the bundle.")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print the rows of summary.csv as JSON.")] = False,
) -> None:
    """Write tables, figures and page of finished runs; name and leave out folders that are not complete runs."""
    from rich.console import Console

    from stbench.report.analysis.columns import unused_profiles
    from stbench.report.analysis.section import Report, make_report
    from stbench.report.bundle.pack import pack
    from stbench.report.collect.odd import without_odd
    from stbench.report.collect.profiles import find_profiles
    from stbench.report.collect.records import Collected, collect
    from stbench.report.encode import terminal
    from stbench.report.produce import Format, produce
    from stbench.report.writers.csv import summary_csv
    from stbench.report.writers.terminal import plain_width, to_rich
    from stbench.schema.folder import runs_below

    if weights and not bundle:
        raise UserError("--weights: only a bundle holds weights. Add --bundle.")
    names = [name.strip() for name in format_.split(",") if name.strip()]
    for name in names:
        if name not in {known.value for known in Format}:
            raise unknown_name("format", name, [known.value for known in Format])
    roots = [runs_below(root) for root in runs]
    collected = collect(roots)
    profiles, unread = find_profiles(roots, profile or [])
    console = plain_width(Console())

    def tell(left_out: Mapping[Path, str]) -> None:
        for path, reason in left_out.items():
            console.print(terminal(f"left out {path}: {reason}"), highlight=False, soft_wrap=True)

    formats = [Format(name) for name in names]

    def write(shown: Collected, folder: Path) -> tuple[Report, list[RenderableType], list[Path]]:
        if bundle and folder == out:
            report, written = pack(shown, profiles, out, formats, weights=weights)
        else:
            report = make_report(shown, profiles=list(profiles.values()))
            written = produce(report, folder, formats)
        return report, [to_rich(table, console.width) for table in report.tables], written

    def write_alone(one: Collected) -> None:
        with TemporaryDirectory() as folder:
            write(one, Path(folder))

    if not collected.records:
        tell({**collected.left_out, **unread})
        raise UserError(f"No complete run in {', '.join(map(str, runs))}. 'stbench run' makes runs.")
    try:
        report, tables, written = without_odd(collected, lambda shown: write(shown, out), write_alone)
    except OSError as error:
        raise cannot(f"Cannot write the report to {out}", error, "Choose another --out.") from error
    if json_:
        print(json.dumps(list(csv.DictReader(io.StringIO(summary_csv(report.sections)))), indent=2))
        return
    tell({**collected.left_out, **report.left_out, **unread, **unused_profiles(profile or [], profiles, report.tables)})
    for table in tables:
        console.print(table)
    pictures = sum(path.suffix in (".png", ".gif") for path in written)
    texts = ", ".join(str(path) for path in written if path.parent == out)
    console.print(terminal(f"Written: {texts}; {pictures} pictures"), highlight=False, soft_wrap=True)
