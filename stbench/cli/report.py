"""``stbench report``: tables, figures and a page from run folders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from stbench.errors import UserError, unknown_name


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
) -> None:
    """Write tables, figures and page of finished runs; name and leave out folders that are not complete runs."""
    from rich.console import Console

    from stbench.report.analysis.columns import unused_profiles
    from stbench.report.analysis.section import make_report
    from stbench.report.collect.profiles import find_profiles
    from stbench.report.collect.records import collect
    from stbench.report.encode import terminal
    from stbench.report.produce import Format, produce
    from stbench.report.writers.terminal import plain_width, to_rich

    names = [name.strip() for name in format_.split(",") if name.strip()]
    for name in names:
        if name not in {known.value for known in Format}:
            raise unknown_name("format", name, [known.value for known in Format])
    roots = [root / "runs" if (root / "runs").is_dir() else root for root in runs]
    collected = collect(roots)
    profiles, unread = find_profiles(roots, profile or [])
    console = plain_width(Console())

    def tell(left_out: Mapping[Path, str]) -> None:
        for path, reason in left_out.items():
            console.print(terminal(f"left out {path}: {reason}"), highlight=False, soft_wrap=True)

    tell({**collected.left_out, **unread})
    if not collected.records:
        raise UserError(f"No complete run in {', '.join(map(str, runs))}. 'stbench run' makes runs.")
    report = make_report(collected, profiles=list(profiles.values()))
    tell(unused_profiles(profile or [], profiles, report.tables))
    for table in report.tables:
        console.print(to_rich(table, console.width))
    try:
        written = produce(report, out, [Format(name) for name in names])
    except OSError as error:
        raise UserError(
            f"Cannot write the report to {out}: {error.strerror or error}. Choose another --out."
        ) from error
    pictures = sum(path.suffix in (".png", ".gif") for path in written)
    texts = ", ".join(str(path) for path in written if path.parent == out)
    console.print(terminal(f"Written: {texts}; {pictures} pictures"), highlight=False, soft_wrap=True)
