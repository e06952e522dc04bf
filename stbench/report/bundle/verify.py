"""Verification of a bundle: hashes, scores from the values per sequence, and every cell of its documents from its runs.

The runs are copied before they are read, so that nothing in the bundle can change meanwhile and nothing is written
there.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from stbench.errors import UserError, first_line
from stbench.report.bundle.manifest import Manifest, changed_files, read_manifest
from stbench.report.bundle.pack import NOTE, RUNS, remake
from stbench.report.bundle.scores import wrong_scores
from stbench.report.bundle.sheets import READERS, cell_count, differences
from stbench.report.collect.profiles import FOLDER as PROFILES
from stbench.report.collect.records import RunRecord, collect
from stbench.report.collect.searches import FOLDER as SEARCH
from stbench.report.collect.searches import RECORD, read_search, wrong_trials
from stbench.report.produce import Format
from stbench.schema import Score
from stbench.schema.sequences import BLOCKED

PICTURES = (".png", ".gif")
FORMATS = {"report.md": Format.MD, "runs.csv": Format.CSV, "table.tex": Format.LATEX, "report.html": Format.HTML}
PLAIN = "report.tex"
"""The document around the LaTeX fragment; it holds no number."""


@dataclass(frozen=True)
class Verdict:
    """Outcome: one line per problem, and how much was compared. ``version`` of stbench wrote the bundle."""

    problems: tuple[str, ...]
    files: int
    runs: int
    scores: int
    cells: int
    version: str


def verify(folder: Path) -> Verdict:
    """Verify a bundle. Pictures are covered by their hashes; the numbers of a figure are in the CSV beside it.

    Raises:
        UserError: the folder is no bundle, or one that must not be read (paths outside, links, excessive sizes).
    """
    manifest = read_manifest(folder)
    problems = changed_files(folder, manifest)
    with TemporaryDirectory(prefix="stbench-verify-") as name:
        copy = Path(name)
        _copy_inputs(folder, copy, manifest)
        if not (copy / RUNS).is_dir():
            raise UserError(f"{folder} holds no run. Get the bundle again.")
        collected = collect([copy / RUNS])
        problems += [f"{path.relative_to(copy)}: {reason}" for path, reason in collected.left_out.items()]
        problems += [f"{name}: a bundle holds no blocks of sequences" for name in manifest.files if _is_blocked(name)]
        for record in collected.records:
            problems += [f"{RUNS}/{record.name}: {line}" for line in wrong_scores(record)]
        if (copy / SEARCH / RECORD).is_file():
            problems += [f"{SEARCH}: {line}" for line in _wrong_trials(copy / SEARCH)]
        cells, wrong = _compare_documents(folder, copy, manifest)
        problems += wrong
        shown = tuple(problem.replace(f"{copy}/", "") for problem in problems)
        scores = sum(_score_count(record) for record in collected.records)
        return Verdict(shown, len(manifest.files), len(collected.records), scores, cells, manifest.stbench)


def _copy_inputs(folder: Path, copy: Path, manifest: Manifest) -> None:
    """Copy the listed records; :func:`changed_files` has refused links and named what is missing."""
    for name in manifest.files:
        source = folder / name
        if _is_record(name) and not _is_blocked(name) and source.is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy / name)


def _is_record(name: str) -> bool:
    """Return whether a file is a record of runs, profiles or a search, not a document made of them."""
    path = PurePosixPath(name)
    return path.parts[0] in (RUNS, PROFILES) or path.parts[:2] in ((SEARCH, RUNS), (SEARCH, RECORD))


def _is_blocked(name: str) -> bool:
    """Return whether a file holds blocks of sequences, which a report would read instead of the values."""
    return PurePosixPath(name).name == BLOCKED


def _wrong_trials(folder: Path) -> list[str]:
    try:
        return list(wrong_trials(read_search(folder), folder))
    except UserError as error:
        return [str(error)]


def _compare_documents(folder: Path, copy: Path, manifest: Manifest) -> tuple[int, list[str]]:
    """Return the number of compared cells, and one line per cell that the runs do not give."""
    documents = [name for name in manifest.files if not _is_record(name)]
    formats = {kind for name, kind in FORMATS.items() if name in documents}
    if any(name.startswith("figures/") for name in documents):
        formats.add(Format.PNG)
    try:
        from stbench.report.figures.style import numbers_only  # late: matplotlib is needed for figures alone

        with numbers_only():
            remake(copy, formats)
    except Exception as error:  # a hostile run may fail in any way
        return 0, [f"the report cannot be made again ({type(error).__name__}: {first_line(error)})"]
    cells, lines = 0, []
    for name in documents:
        if not (folder / name).is_file() or name in (NOTE, PLAIN):
            continue
        made = copy / name
        if not (made.with_suffix(".csv") if made.suffix in PICTURES else made).is_file():
            lines.append(f"{name}: the runs give no such file")
        elif PurePosixPath(name).suffix in READERS:
            count, found = _compare(folder / name, copy / name)
            cells += count
            lines += [f"{name}: {line}" for line in found]
    return cells, lines


def _compare(stored: Path, made: Path) -> tuple[int, list[str]]:
    read = READERS[stored.suffix]
    try:
        shown = read(stored.read_text(encoding="utf-8"))
    except Exception as error:  # a tampered file fails in any way
        return 0, [f"cannot be read ({first_line(error)})"]
    return cell_count(shown), list(differences(shown, read(made.read_text(encoding="utf-8"))))


def _score_count(record: RunRecord) -> int:
    return sum(1 + len(score.lead_times) for score in _scores(record))


def _scores(record: RunRecord) -> Iterator[Score]:
    yield from record.result.test.values()
    for result in record.scenarios.values():
        for case in result.cases:
            yield from case.metrics.values()
