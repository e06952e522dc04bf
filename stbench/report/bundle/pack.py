"""Making of a bundle: runs and profiles are copied, the report is made of the copies, and all files are listed."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

import stbench
from stbench.errors import UserError
from stbench.report.analysis.section import Report, make_report
from stbench.report.bundle.manifest import NAME, write_manifest
from stbench.report.collect.profiles import FOLDER as PROFILES
from stbench.report.collect.profiles import find_profiles
from stbench.report.collect.records import Collected, RunRecord, collect
from stbench.report.collect.searches import FOLDER as SEARCH
from stbench.report.collect.searches import RECORD, find_search, read_search, trial_folders
from stbench.report.encode import file_name
from stbench.report.produce import Format, produce, write_tuned
from stbench.schema.sequences import FILE as VALUES

RUNS = "runs"
NOTE = "README.md"
RECORDS = ("spec.yaml", "environment.json", "history.jsonl", "result.json", VALUES, "samples.npz")
OF_TRIALS = ("spec.yaml", "environment.json", "history.jsonl")
LARGEST_WEIGHTS = 10_000_000


def pack(
    collected: Collected, profiles: Iterable[Path], out: Path, formats: Collection[Format], *, weights: bool = False
) -> tuple[Report, list[Path]]:
    """Make the folder ``out`` a bundle of these runs; one that is there is replaced, its ``README.md`` is kept.

    Args:
        collected: the runs; they may lie in ``out`` already. A search beside them travels too.
        profiles: records of ``stbench profile`` shown beside the scores.
        out: the folder; new, empty, or a bundle.
        formats: what to write.
        weights: also copy the best weights of each run, up to 10 MB per run.

    Returns:
        The report of the copies, and the written documents and pictures.

    Raises:
        UserError: ``out`` holds something else, a finished run has no values per sequence, or the search beside
            them is damaged, or one of several.
    """
    _check_out(out)
    for record in collected.records:
        if record.finished and not record.complete:
            raise UserError(
                f"{record.folder.path} cannot be bundled: its values per sequence are missing or damaged, so nothing "
                "could be verified. Leave it out, or run it again with --redo."
            )
    search = find_search([record.folder.path.parent for record in collected.records])
    made = out.with_name(f".{out.name}.{secrets.token_hex(4)}.tmp")
    try:
        made.mkdir(parents=True)
        for name, record in _names(collected.records).items():
            _copy_run(record, made / RUNS / name, weights=weights)
        for profile in profiles:
            (made / PROFILES).mkdir(exist_ok=True)
            shutil.copyfile(profile, made / PROFILES / file_name(profile.name))
        if search is not None:
            _copy_search(search, made / SEARCH)
        if (out / NOTE).is_file():
            shutil.copyfile(out / NOTE, made / NOTE)
        report, written = remake(made, formats)
        write_manifest(made, stbench.__version__)
        if out.exists():
            shutil.rmtree(out)
        made.rename(out)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return report, [out / path.relative_to(made) for path in (*written, made / NAME)]


def remake(folder: Path, formats: Collection[Format]) -> tuple[Report, list[Path]]:
    """Make the report of the runs, profiles and search in a bundle's folder, beside them."""
    profiles, _ = find_profiles([folder / RUNS])
    report = make_report(collect([folder / RUNS]), profiles=list(profiles.values()))
    written = produce(report, folder, formats)
    if (folder / SEARCH / RECORD).is_file():
        written += write_tuned(read_search(folder / SEARCH), folder / SEARCH)
    return report, written


def _check_out(out: Path) -> None:
    if out.exists() and not (out / NAME).is_file():
        other = sorted(path.name for path in out.iterdir() if path.name != NOTE) if out.is_dir() else [out.name]
        if other:
            raise UserError(f"{out} is no bundle and holds {other[0]}. Choose another --out, or move that away.")


def _names(records: Iterable[RunRecord]) -> dict[str, RunRecord]:
    """Return a plain folder name for each run; names that another run has are numbered."""
    found: dict[str, RunRecord] = {}
    for record in records:
        plain = file_name(record.folder.path.resolve().name, most=200).lstrip(".") or "run"
        name, number = plain, 2
        while name in found:
            name, number = f"{plain}-{number}", number + 1
        found[name] = record
    return found


def _copy_search(source: Path, target: Path) -> None:
    """Copy the record of a search, and what its trials recorded of their training."""
    files = [source / RECORD]
    for folder in trial_folders(read_search(source), source):
        files += [path for path in map(folder.file, OF_TRIALS) if path.is_file()]
    _copy(files, source, target)


def _copy_run(record: RunRecord, target: Path, *, weights: bool) -> None:
    """Copy the records of a run and of its scenarios; samples of scenarios and the state of training stay behind."""
    source = record.folder.path
    beyond = [path for kind in ("scenario.json", VALUES) for path in source.glob(f"scenarios/**/{kind}")]
    files = [path for path in (source / name for name in RECORDS) if path.is_file()] + beyond
    if weights:
        best = source.glob("checkpoints/best-*.safetensors")
        files += [path for path in best if path.stat().st_size <= LARGEST_WEIGHTS]
    _copy(files, source, target)


def _copy(files: Iterable[Path], source: Path, target: Path) -> None:
    for path in files:
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
