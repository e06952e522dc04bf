"""What a list of benchmarks says of each: frames, size on disk, how its files are obtained, whether they were tried."""

from __future__ import annotations

from dataclasses import dataclass

from stbench.data.benchmarks.download_list import downloads_of
from stbench.data.benchmarks.lookup import BENCHMARKS, load_benchmark, needs_files

TRIED = {"all": "yes", "part": "in part", "none": "no"}
HEADINGS = ("benchmark", "frames", "C×H×W", "on disk", "obtained", "real files read")


@dataclass(frozen=True)
class Overview:
    """One benchmark in a list; ``size`` of its files, ``tried``: whether its reader was tried on the real ones."""

    name: str
    frames: str
    frame: str
    size: str
    obtained: str
    tried: str


def overview(name: str) -> Overview:
    """Return what a list says of a benchmark, from its own files."""
    benchmark = load_benchmark(name)
    linked = any(item.urls for item in downloads_of(name))
    obtained = "`stbench data get`" if linked else "by hand, see its card"
    return Overview(
        name,
        f"{benchmark.shape.t_in} → {benchmark.shape.t_out}",
        "×".join(map(str, benchmark.shape.frame)),
        benchmark.holdings.size,
        obtained if needs_files(benchmark) else "embedded",
        TRIED[benchmark.holdings.tried],
    )


def as_markdown(names: list[str] | None = None) -> str:
    """Return the table of benchmarks of the README; all that are installed if no names are given."""
    rows = [overview(name) for name in (BENCHMARKS.names() if names is None else names)]
    cells = [(f"`{row.name}`", row.frames, row.frame, row.size, row.obtained, row.tried) for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in (HEADINGS, ["---"] * len(HEADINGS), *cells))
