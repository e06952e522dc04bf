"""Profiles of ``stbench profile`` as Markdown and tidy CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stbench.efficiency.records import Cost, Profile
from stbench.report.encode import markdown
from stbench.report.writers.cells import Sheet
from stbench.report.writers.csv import as_csv
from stbench.report.writers.markdown import sheet_markdown

COLUMNS = ("benchmark", "protocol", "method", "encoder", "quantity", "mode", "precision", "batch", "value", "unit")
Fact = tuple[str, str, str, int | str, float | int | str, str]


def title(profile: Profile) -> str:
    """Return the title: benchmark and machine."""
    environment = profile.environment
    return (
        f"{profile.benchmark} v{profile.version}, protocol {profile.protocol}: cost on {environment['device']}, "
        f"torch {environment['libraries']['torch']}, threads: {environment['threads']}"
    )


def profile_markdown(profile: Profile, sheets: Sequence[Sheet]) -> str:
    """Return all tables with their notes."""
    lines = [f"# {markdown(title(profile))}", ""]
    for sheet in sheets:
        lines += [f"## {markdown(sheet.title)}", "", *sheet_markdown(sheet), ""]
    return "\n".join(lines)


def profile_csv(profile: Profile) -> str:
    """Write one line per number, in base units."""
    lines = (
        (profile.benchmark, profile.protocol, cost.method, cost.encoder, *fact)
        for cost in profile.costs
        for fact in _facts(cost)
    )
    return as_csv(COLUMNS, lines)


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
