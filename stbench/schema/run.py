"""What one run is (RunSpec) and what it gave (RunResult)."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from stbench.schema.base import Record
from stbench.schema.protocol import DatasetSpec, Evaluation, Selection, Training
from stbench.schema.scaling import Scaling
from stbench.schema.shape import ClipShape

ID_LENGTH = 12
NAME_LENGTH = 80


class RunSpec(Record):
    """Everything that decides a run's numbers, fully resolved; ``origins`` says where each value came from.

    ``method`` is the name as the user gave it (it may carry a variant), ``plugin`` the registered method it means.
    ``training`` is None for a method that has nothing to learn, and for published ``weights`` (the file's sha256) that
    are scored as they are.
    """

    method: str
    plugin: str
    config: dict[str, Any]
    benchmark: str
    benchmark_version: int
    protocol: str
    shape: ClipShape
    dataset: DatasetSpec
    value_range: tuple[float, float] | None
    data_range: float | None
    training: Training | None
    selection: Selection
    evaluation: Evaluation
    encoder: Literal["paper", "shared"]
    seed: NonNegativeInt
    weights: str | None = None
    origins: dict[str, str] = Field(default={})

    @property
    def trained(self) -> bool:
        """Whether somebody trained what is scored."""
        return self.training is not None or self.weights is not None

    @property
    def run_id(self) -> str:
        """Hash of every value that decides the numbers (``origins`` does not)."""
        left_out = {"origins"} if self.weights is not None else {"origins", "weights"}
        text = json.dumps(self.model_dump(mode="json", exclude=left_out), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]

    @property
    def folder(self) -> str:
        """Name of the run's folder: readable parts, then the hash."""
        method = "".join(c if c.isalnum() or c in "-_" else "-" for c in self.method)
        return f"{self.benchmark}-{self.protocol}-{method[:NAME_LENGTH]}-s{self.seed}-{self.run_id}"


class Score(Record):
    """One metric on one split: the total and its value at each lead time (T_out numbers)."""

    total: float
    lead_times: tuple[float, ...]


class Failure(Record):
    """Why a run has no numbers."""

    kind: Literal["diverged", "out_of_memory", "crashed", "unsupported"]
    reason: str


class RunResult(Record):
    """What a finished (or failed) run gave. Times are in seconds.

    ``optimism`` is filled where the checkpoint was selected on test: each metric's selected minus last-epoch value.
    ``skimage_difference`` is the largest difference to scikit-image over a re-scored sample of frames.
    ``method_source`` is a hash of the source file of the method. ``unavailable`` names metrics that could not be
    computed, with the reason. ``best_epoch`` counts from 0. ``scaling`` takes model space to physical units.
    ``macs`` are the multiply-adds of predicting one clip over the whole horizon; None where they cannot be counted.
    Scored test sequences share frames only with neighbours fewer than ``test_overlap`` places away; 1: with none.
    """

    run_id: str
    method: str
    benchmark: str
    protocol: str
    seed: int
    status: Literal["finished", "failed"]
    failure: Failure | None = None
    test: dict[str, Score] = {}
    test_clips: int = 0
    test_overlap: PositiveInt = 1
    unavailable: dict[str, str] = {}
    validation_mse_frame: float | None = None
    best_epoch: int | None = None
    epochs_run: int = 0
    parameters: int = 0
    macs: int | None = None
    seconds_per_epoch: float | None = None
    train_seconds: float | None = None
    evaluate_seconds: float | None = None
    skimage_difference: float | None = None
    optimism: dict[str, float] = {}
    data_report: str = ""
    data_fingerprint: str = ""
    scaling: Scaling | None = None
    method_source: str = ""
    finished_at: str = ""
