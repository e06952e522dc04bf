"""The record of a scenario's result and its place in a run folder. Imports no torch, because reports read it."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import NonNegativeInt, PositiveInt

from stbench.errors import UserError
from stbench.schema import Record, Score
from stbench.schema.folder import RunFolder

FILE = "scenario.json"
FOLDER = "scenarios"


class CaseResult(Record):
    """Scores of one case; ``clips`` of the ``of_clips`` of the ordinary test pass were scored.

    Scored clips share frames only with neighbours fewer than ``overlap`` places away; 1 means that they share none.
    """

    label: str
    value: float | None
    horizon: NonNegativeInt
    clips: NonNegativeInt
    of_clips: NonNegativeInt
    overlap: PositiveInt = 1
    metrics: dict[str, Score]
    unavailable: dict[str, str] = {}
    rank_histogram: tuple[NonNegativeInt, ...] = ()


class ScenarioResult(Record):
    """Result of a scenario for one run: its cases in order; the first is the reference of the others."""

    name: str
    kind: str
    axis: str = ""
    run_id: str
    cases: tuple[CaseResult, ...]
    finished_at: str = ""


def folder_of(folder: RunFolder, name: str) -> Path:
    """Return the folder of a scenario in a run folder."""
    safe = "".join(c if c.isalnum() or c in "-_=,." else "-" for c in name)
    return folder.path / FOLDER / safe


def case_folder(folder: RunFolder, name: str, number: int) -> RunFolder:
    """Return the folder of a case's values per sequence."""
    return RunFolder(folder_of(folder, name) / f"case-{number}")


def read_scenarios(folder: RunFolder) -> list[ScenarioResult]:
    """Read the scenarios in which a run was scored, by name.

    Raises:
        UserError: one of them cannot be read.
    """
    found = []
    for path in sorted((folder.path / FOLDER).glob(f"*/{FILE}")):
        try:
            found.append(ScenarioResult.parse(json.loads(path.read_text(encoding="utf-8")), str(path)))
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read: {error}. Delete its folder and evaluate again.") from error
    return found
