"""The report as a self-contained HTML page, without network or other files."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup as Safe

from stbench.report.analysis.lead_time import reference_row, series, skill
from stbench.report.analysis.provenance import run_provenance
from stbench.report.analysis.section import Report, Section
from stbench.report.analysis.table import Row, Table
from stbench.report.encode import run_link, visible
from stbench.report.numbers import arrow, format_count, format_value
from stbench.report.writers.cells import TIED, UNTESTED, footnotes, further_columns, published_sheet
from stbench.report.writers.html_clips import encode_clips
from stbench.report.writers.scenarios import scenario_sheets

CLIP_BYTES = 2_500_000
"""Maximum size of the pictures of a page, over all tables."""


def to_html(report: Report, out: Path) -> str:
    """Return the page; run folders below ``out`` are linked, others named."""
    environment = Environment(
        loader=PackageLoader("stbench.report"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.globals.update(arrow=arrow, tied=TIED, untested=UNTESTED)
    share = CLIP_BYTES // max(len(report.sections), 1)
    views = [_view(number, section, out, share) for number, section in enumerate(report.sections, start=1)]
    return environment.get_template("report.html.j2").render(
        views=views,
        left_out={str(path): reason for path, reason in report.left_out.items()},
        style=_asset(environment, "style.css"),
        script=Safe("\n").join([_asset(environment, "charts.js"), _asset(environment, "page.js")]),
        data=_embed([view["data"] for view in views]),
    )


def _view(number: int, section: Section, out: Path, clip_bytes: int) -> dict[str, Any]:
    """Return the values of a section for the template and, under ``data``, for the script."""
    table = section.table
    rows = [_row(f"s{number}r{place}", row, out) for place, row in enumerate(table.rows, start=1)]
    clips = encode_clips(table, clip_bytes)
    return {
        "id": f"s{number}",
        "table": table,
        "rows": rows,
        "costs": further_columns(table),
        "notes": footnotes(table),
        "section": section,
        "published": published_sheet(table.spec.benchmark, section.published, section.leak),
        "scenarios": scenario_sheets(table),
        "has_clips": clips is not None,
        "has_macs": any(row.macs for row in table.rows if row.trained),
        "data": {
            "id": f"s{number}",
            "metrics": list(table.metrics),
            "rows": [entry["data"] for entry in rows],
            "lead": {metric: _lead(table, metric) for metric in table.metrics},
            "clips": clips,
        },
    }


def _row(identity: str, row: Row, out: Path) -> dict[str, Any]:
    seconds = None if row.seconds_per_epoch is None else row.seconds_per_epoch.mean
    return {
        "id": identity,
        "row": row,
        "differences": {metric: _difference(row, metric) for metric in row.cells},
        "runs": [run_provenance(run, run_link(run.folder.path, out)) for run in row.runs],
        "data": {
            "id": identity,
            "label": visible(row.label),
            "trained": row.trained,
            "costs": {"seconds": seconds, "macs": row.macs},
            "parameters": row.parameters,
            "count": format_count(row.parameters),
            "cells": {
                m: {"mean": _finite(c.mean), "std": _finite(c.std), "text": str(c)} for m, c in row.cells.items()
            },
        },
    }


def _difference(row: Row, metric: str) -> str:
    """Describe the difference to the best row."""
    place = row.standings.get(metric)
    if place is None:
        return "not ranked"
    if place.rank == 1:
        return "best mean"
    if place.difference is None or place.p is None:
        return f"rank {place.rank}; {place.reason or 'not tested'}"
    low, high = format_value(place.difference.low), format_value(place.difference.high)
    return f"rank {place.rank}; minus best: 95 % interval {low} to {high}, adjusted p = {place.p:.3g}"


def _lead(table: Table, metric: str) -> dict[str, Any]:
    """Return, by row name, mean, band and skill at each lead time."""
    reference = reference_row(table)
    lines: dict[str, dict[str, Any]] = {}
    for row in table.rows:
        found = series(row, metric)
        if found is None:
            continue
        gain = None if reference is None or row is reference else skill(row, reference, metric)
        named = {"mean": found.centre, "low": found.low, "high": found.high, "skill": gain}
        lines[visible(row.label)] = {
            name: None if values is None else [_finite(float(f"{value:.5g}")) for value in values]
            for name, values in named.items()
        }
        lines[visible(row.label)]["test_noise_only"] = found.test_noise_only
    return {"rows": lines, "reference": None if reference is None else visible(reference.label)}


def _shown(value: Any) -> Any:
    """Convert the value of a template expression to text, before escaping."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Safe) else value


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _asset(environment: Environment, name: str) -> Safe:
    """Return a file of the package unescaped; it is trusted and contains no closing tag."""
    if environment.loader is None:
        raise ValueError("the templates have no loader")
    source, _, _ = environment.loader.get_source(environment, name)
    return Safe(source)


def _embed(data: Any) -> Safe:
    """Return JSON that cannot end the script element around it."""
    return Safe(json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"))
