"""A profile's tables for the terminal, Markdown and LaTeX; its numbers as tidy CSV and JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from rich.table import Table as RichTable

from stbench.efficiency.figure import draw
from stbench.efficiency.records import Cost, Profile
from stbench.efficiency.sheets import Sheet, make_sheets
from stbench.schema.folder import write_text, write_with

COLUMNS = ("benchmark", "protocol", "method", "encoder", "quantity", "mode", "precision", "batch", "value", "unit")
Fact = tuple[str, str, str, int | str, float | int | str, str]
_TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "×": r"$\times$",
    "·": r"$\cdot$",
}


def write_profile(profile: Profile, folder: Path) -> list[Path]:
    """Write ``<benchmark>-<protocol>-<hardware>`` with endings json, csv, md, tex and png; returns the paths."""
    stem = f"{profile.benchmark}-{profile.protocol}-{profile.key}"
    sheets = make_sheets(profile)
    texts = {
        "json": profile.model_dump_json(indent=2) + "\n",
        "csv": to_csv(profile),
        "md": to_markdown(profile, sheets),
        "tex": "\n".join(to_latex(sheet) for sheet in sheets),
    }
    for ending, text in texts.items():
        write_text(folder / f"{stem}.{ending}", text)
    write_with(folder / f"{stem}.png", lambda path: draw(profile, path))
    return [folder / f"{stem}.{ending}" for ending in (*texts, "png")]


def title(profile: Profile) -> str:
    """What was measured, and on what."""
    environment = profile.environment
    return (
        f"{profile.benchmark} v{profile.version}, protocol {profile.protocol}: cost on {environment['device']}, "
        f"torch {environment['libraries']['torch']}, threads: {environment['threads']}"
    )


def to_rich(sheet: Sheet) -> RichTable:
    """A table for the terminal."""
    shown = RichTable(title=sheet.title, caption="\n".join(sheet.notes), caption_justify="left")
    for number, heading in enumerate(sheet.headings):
        shown.add_column(heading, justify="left" if number == 0 else "right", no_wrap=number == 0)
    for row in sheet.rows:
        shown.add_row(*row)
    return shown


def to_markdown(profile: Profile, sheets: tuple[Sheet, ...]) -> str:
    """All tables, each with its notes."""
    lines = [f"# {title(profile)}", ""]
    for sheet in sheets:
        lines += [f"## {sheet.title}", "", _line(sheet.headings), _line(["---"] + ["---:"] * (len(sheet.headings) - 1))]
        lines += [_line(row) for row in sheet.rows]
        lines += ["", *(f"- {note}" for note in sheet.notes), ""]
    return "\n".join(lines)


def _line(values: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(value.replace('|', chr(92) + '|') for value in values)} |"


def to_latex(sheet: Sheet) -> str:
    """A booktabs table."""
    columns = "l" + "r" * (len(sheet.headings) - 1)
    rows = [" & ".join(map(_tex, row)) + r" \\" for row in (sheet.headings, *sheet.rows)]
    body = [r"\toprule", rows[0], r"\midrule", *rows[1:], r"\bottomrule"]
    return "\n".join([f"% {sheet.title}", rf"\begin{{tabular}}{{{columns}}}", *body, r"\end{tabular}", ""])


def _tex(text: str) -> str:
    return "".join(_TEX.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in text)


def to_csv(profile: Profile) -> str:
    """One line per number, in plain units."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for cost in profile.costs:
        head = (profile.benchmark, profile.protocol, cost.method, cost.encoder)
        writer.writerows((*head, *fact) for fact in _facts(cost))
    return stream.getvalue()


def _facts(cost: Cost) -> Iterator[Fact]:
    for name in ("live", "dead", "shared"):
        yield f"parameters_{name}", "", "", "", getattr(cost.parameters, name), "1"
    for name in ("total", "executed", "one_pass", "torch_counter"):
        if getattr(cost.macs, name) is not None:
            yield f"macs_{name}", "inference", "", 1, getattr(cost.macs, name), "1"
    for part, count in cost.macs.modules.items():
        yield f"macs_{part}", "inference", "", 1, count, "1"
    for speed in cost.speeds:
        where = speed.mode, speed.precision, speed.batch
        if speed.seconds is None:
            yield "time_p50", *where, speed.failure or "", ""
            continue
        for name in ("p50", "p95", "iqr"):
            yield f"time_{name}", *where, getattr(speed.seconds, name), "s"
        yield "samples", *where, speed.seconds.samples, "1"
        yield "throughput", *where, speed.sequences_per_second or 0.0, "sequences/s"
        yield "throughput", *where, speed.frames_per_second or 0.0, "frames/s"
        yield "share_of_peak", *where, speed.share_of_peak or "", "1"
    for memory in cost.memories:
        where = memory.mode, memory.precision, memory.batch
        for name, unit in (("peak", "B"), ("activations", "B"), ("start_up", "s"), ("first", "s")):
            yield f"memory_{name}" if unit == "B" else name, *where, getattr(memory, name) or memory.failure or "", unit
    if cost.stages is not None:
        for name, share in cost.stages.model_dump().items():
            yield f"time_share_{name}", "inference", "", 1, share, "1"
    for growth in cost.growths:
        yield (
            f"growth_{growth.axis}",
            "inference",
            "",
            "",
            "" if growth.time_exponent is None else growth.time_exponent,
            "1",
        )
    yield (
        "energy",
        "inference",
        "",
        cost.energy.batch or "",
        cost.energy.reason or cost.energy.joules_per_sequence or "",
        "J/sequence",
    )
