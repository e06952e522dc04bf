"""The record of a run: its spec (RunSpec) and its result (RunResult)."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, SerializerFunctionWrapHandler, model_serializer

from stbench.schema.base import Record
from stbench.schema.protocol import DatasetSpec, Evaluation, Selection, Training
from stbench.schema.scaling import Scaling
from stbench.schema.shape import ClipShape

ID_LENGTH = 12
NAME_LENGTH = 80
OF_THE_CLOCK = ("seconds_per_epoch", "train_seconds", "evaluate_seconds", "finished_at")
"""Fields of a result that differ between two equal runs."""


class RunSpec(Record):
    """All settings that decide a run's numbers, fully resolved; ``origins`` records where each value came from.

    ``method``: the name that the user gave, with variants. ``plugin``: the registered method. ``training``: None for an
    untrained method, and for scoring published ``weights`` (the file's sha256). ``world_size``: data-parallel processes
    that train it, on ``nodes`` machines.
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
    world_size: PositiveInt = 1
    nodes: PositiveInt = 1
    origins: dict[str, str] = Field(default={})

    @model_serializer(mode="wrap")
    def _without_one(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out a single process and machine, so that run ids without them do not change."""
        values: dict[str, Any] = dump(self)
        return {key: value for key, value in values.items() if key not in ("world_size", "nodes") or value > 1}

    @property
    def trained(self) -> bool:
        """True if the scored weights were trained, here or elsewhere."""
        return self.training is not None or self.weights is not None

    @property
    def run_id(self) -> str:
        """Hash of all values that decide the numbers; ``origins`` and metrics listed beside are none of them."""
        left_out = {"origins"} if self.weights is not None else {"origins", "weights"}
        plain = self.model_copy(update={"evaluation": self.evaluation.model_copy(update={"beside": ()})})
        text = json.dumps(plain.model_dump(mode="json", exclude=left_out), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]

    @property
    def folder(self) -> str:
        """Name of the run's folder: readable parts and the hash."""
        method = "".join(c if c.isalnum() or c in "-_" else "-" for c in self.method)
        return f"{self.benchmark}-{self.protocol}-{method[:NAME_LENGTH]}-s{self.seed}-{self.run_id}"


class Score(Record):
    """One metric on one split: the total and its value at each lead time (T_out numbers).

    ``undefined`` counts the frames (a sequence at a lead time) that have no value of their own.
    """

    total: float
    lead_times: tuple[float, ...]
    undefined: NonNegativeInt = 0


class Failure(Record):
    """The reason why a run has no numbers."""

    kind: Literal["diverged", "out_of_memory", "crashed", "unsupported"]
    reason: str


class RunResult(Record):
    """Result of a finished or failed run. Times are in seconds.

    ``optimism``: value at the selected minus that at the last epoch, per metric, if test selected the checkpoint.
    ``skimage_difference``: largest difference to scikit-image over a re-scored sample of frames. ``method_source``:
    hash of the method's source file or package. ``unavailable``: metrics that could not be computed, with the reason.
    ``best_epoch``: counts from 0. ``scaling``: from model space to physical units. ``macs``: multiply-adds of one
    prediction over the whole horizon; None if they cannot be counted. ``test_overlap``: scored test sequences share
    frames only with neighbours fewer than this number of places away; 1 means that they share none.
    ``clipped_truth``: share of true test values outside [0, data_range]. ``world_size``: processes that trained it.
    ``missing_truth``: share of true test values that are missing and left out; None where the data lack none.
    ``padded_to``: (height, width) of the mirrored frames that the method computed on; None for the data's own.
    ``checksum``: hash of all values but times, in the file only; results of 0.1.0 have none.
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
    clipped_truth: float = 0.0
    missing_truth: float | None = None
    world_size: PositiveInt = 1
    validation_mse_frame: float | None = None
    best_epoch: int | None = None
    epochs_run: int = 0
    padded_to: tuple[int, int] | None = None
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
    checksum: str = ""

    @property
    def values_hash(self) -> str:
        """Hash of all values but ``checksum`` and those of the clock, so that a repeated run has the same.

        Defaults do not enter it: later versions can add fields.
        """
        values = self.model_dump(mode="json", exclude={"checksum", *OF_THE_CLOCK}, exclude_defaults=True)
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
