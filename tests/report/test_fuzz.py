"""Every file of a run folder, damaged and edited in thousands of ways, beside a whole run: a report is always made."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stbench.report.analysis.section import make_report
from stbench.report.collect.odd import without_odd
from stbench.report.collect.records import Collected, collect
from stbench.report.figures.curves import read_curve
from stbench.report.produce import Format, produce
from stbench.report.writers.terminal import to_rich
from tests.report.runs import block, make_run, make_spec, noisy, put_scenario, write_samples
from tests.support.mutate import damaged, edited_text

INPUTS = 2000
REPORTS = 40
"""Inputs of each file of which a whole report is written; the others are read as a report reads them."""
SECONDS = 20
MEGABYTES = 600
SCENARIO = "corrupt:gauss=0.5"
TEXTS = ("spec.yaml", "result.json", "environment.json", "history.jsonl", "scenario.json")
FILES = (*TEXTS, "per_sequence.parquet", "sequence_blocks.parquet", "samples.npz")


@contextmanager
def bounded() -> Iterator[None]:
    """Fail what takes longer than ``SECONDS``, or lets the process grow by more than ``MEGABYTES``."""

    def late(*_: object) -> None:
        raise AssertionError(f"more than {SECONDS} s")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    old = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEGABYTES * 1024


def two_runs(root: Path) -> Path:
    """A whole run, and beside it the folder whose files are changed, which is returned."""
    rng = np.random.default_rng(0)
    for method in ("alpha", "beta"):
        record = make_run(root, make_spec(method), noisy(rng, 1.0, count=6))
        epochs = [
            {"epoch": n, "train_loss": 1.0, "val_mse_frame": 2.0, "train_seconds": 3.0, "macs": 4} for n in range(2)
        ]
        record.folder.write_history(epochs)
        write_samples(record.folder)
        block(record)
        put_scenario(record, SCENARIO, [noisy(rng, 1.0, count=6), noisy(rng, 2.0, count=6)])
    return record.folder.path


def inputs(file: Path, count: int) -> Iterator[bytes]:
    content = file.read_bytes()
    if file.name in TEXTS:
        yield from edited_text(content, file.name, count // 2)
        count -= count // 2
    yield from damaged(content, count)


def read(root: Path) -> Collected:
    """What a report reads of run folders."""
    collected = collect([root])
    for record in collected.records:
        record.samples()
        for name, result in record.scenarios.items():
            for number in range(len(result.cases)):
                record.case(name, number).values.frames("mse_frame")
        read_curve(record)
        for metric in record.spec.evaluation.metrics:
            record.values.frames(metric)
    return collected


def write(collected: Collected, out: Path) -> Any:
    report = make_report(collected, count_parameters=False)
    for table in report.tables:
        to_rich(table, 120)
    return report, produce(report, out, [Format.MD, Format.CSV, Format.LATEX, Format.HTML])


def check(root: Path, name: str, count: int, reports: int, out: Path) -> None:
    run = two_runs(root)
    (file,) = (path for path in run.rglob(name) if "case-" not in str(path))
    whole = file.read_bytes()
    for number, content in enumerate(inputs(file, count)):
        file.write_bytes(content)
        try:
            with bounded():
                collected = read(root)
                assert "alpha" in {record.spec.plugin for record in collected.records}
                if number % (count // reports) == 0:
                    report, _ = without_odd(collected, lambda c: write(c, out), lambda c: write(c, out))
                    assert any("alpha" in (row.label or "") for table in report.tables for row in table.rows)
        except Exception as error:
            raise AssertionError(f"input {number} of {file.name}") from error
    file.write_bytes(whole)


@pytest.fixture(autouse=True)
def six_sequences_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stbench.schema.sequences.BLOCKS", 4)


@pytest.mark.parametrize("name", FILES)
def test_some_damage_of_every_file(name: str, tmp_path: Path) -> None:
    check(tmp_path / "runs", name, 24, 1, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_any_damage_of_any_file(name: str, tmp_path: Path) -> None:
    check(tmp_path / "runs", name, INPUTS, REPORTS, tmp_path / "out")
