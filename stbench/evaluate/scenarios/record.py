"""The record of a scenario's result and its place in a run folder. Imports no torch, because reports read it.

A scenario's folder holds ``scenario.json`` and the folder that it names, with a folder of values per sequence for each
case. New results lie beside the old ones until ``scenario.json`` is replaced, so that a kill loses neither.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from secrets import token_hex
from typing import Annotated, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from stbench.errors import UserError, first_line
from stbench.schema import Record, Score
from stbench.schema.folder import LARGEST_RECORD, RunFolder, read_at_most, write_text

FILE = "scenario.json"
FOLDER = "scenarios"
LOCK = ".lock"
CASES = re.compile(r"cases-[0-9a-f]{8}|case-[0-9]+")
"""Folders of values per sequence: all of a result, or, of results without ``files``, of one case."""
LONGEST_NAME = 60
"""Characters of a scenario's folder; with four bytes each and a hash, a file system's limit of 255 bytes holds."""


class CaseResult(Record):
    """Scores of one case; ``clips`` of the ``of_clips`` of the ordinary test pass were scored.

    Scored clips share frames only with neighbours fewer than ``overlap`` places away; 1 means that they share none.
    """

    label: str
    value: Annotated[float, Field(allow_inf_nan=False)] | None
    horizon: NonNegativeInt
    clips: NonNegativeInt
    of_clips: NonNegativeInt
    overlap: PositiveInt = 1
    metrics: dict[str, Score]
    unavailable: dict[str, str] = {}
    rank_histogram: tuple[NonNegativeInt, ...] = ()

    @model_validator(mode="after")
    def _check_lead_times(self) -> Self:
        for name, score in self.metrics.items():
            if len(score.lead_times) != self.horizon:
                raise ValueError(f"{len(score.lead_times)} lead times of {name}, the horizon is {self.horizon}")
        return self


class ScenarioResult(Record):
    """Result of a scenario for one run: its cases in order; the first is the reference of the others.

    ``files``: name of the folder of the cases' values per sequence, beside the result.
    """

    name: str
    kind: str
    axis: str = ""
    run_id: str
    cases: tuple[CaseResult, ...] = Field(min_length=1)
    files: str = Field(default="", pattern=r"^(cases-[0-9a-f]{8})?$")
    finished_at: str = ""


def folder_of(folder: RunFolder, name: str) -> Path:
    """Return the folder of a scenario in a run folder; no two names share one, and none is too long."""
    readable = name.replace(":", "-", 1)
    safe = re.sub(r"[^\w=,.-]", "-", readable)[:LONGEST_NAME]
    if safe != readable:
        safe += f"-{hashlib.sha256(name.encode(errors='surrogateescape')).hexdigest()[:8]}"
    return folder.path / FOLDER / safe


def case_folder(folder: RunFolder, result: ScenarioResult, number: int) -> RunFolder:
    """Return the folder of a case's values per sequence."""
    return RunFolder(folder_of(folder, result.name) / result.files / f"case-{number}")


def new_files() -> str:
    """Return a new name for the folder of a scenario's cases."""
    return f"cases-{token_hex(4)}"


def write_scenario(folder: RunFolder, result: ScenarioResult) -> None:
    """Put a result, whose cases are written, in the place of the one before; the lock of its folder is held."""
    target = folder_of(folder, result.name)
    write_text(target / FILE, result.model_dump_json(indent=2))
    remove_cases(target, result.files)


def remove_cases(target: Path, kept: str) -> None:
    """Remove the cases of replaced results, and those that a killed process left behind."""
    for path in target.iterdir():
        if CASES.fullmatch(path.name) and path.name != kept:
            shutil.rmtree(path, ignore_errors=True)


def read_scenarios(folder: RunFolder) -> tuple[dict[str, ScenarioResult], dict[Path, str]]:
    """Read the scenarios in which a run was scored, by name, and the files that hold none, with the reason."""
    found, odd = {}, {}
    for path in sorted((folder.path / FOLDER).glob(f"*/{FILE}")):
        try:
            result = _read(path)
            if folder_of(folder, result.name) != path.parent:
                raise UserError(f"it is of the scenario {result.name!r}, which belongs in another folder")
            found[result.name] = result
        except (OSError, ValueError, RecursionError) as error:
            odd[path] = f"cannot be read: {first_line(error)}"
    return found, odd


def _read(path: Path) -> ScenarioResult:
    """A scenario's result.

    Raises:
        OSError, ValueError, RecursionError: the file cannot be read or holds none.
    """
    return ScenarioResult.parse(json.loads(read_at_most(path, LARGEST_RECORD).decode()), "its content")
