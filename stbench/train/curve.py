"""The training curve in a run folder: ``curve.jsonl``, from which every logger draws.

The first line identifies the training (another one where data, code or batches changed), each further line is a point:
the loss terms of one step and its learning rate. A resumed run repeats the steps after its resume point, so
:meth:`Curve.begin` cuts them off first: the file has every point once, and the same bytes however often it was killed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stbench.schema.folder import write_text
from stbench.schema.lines import read_lines
from stbench.train.engine import Engine


class Curve:
    """Write the curve of a run; all data-parallel processes call it alike, the main one writes.

    Args:
        file: ``curve.jsonl`` of the run folder.
        training: identifies the training.
    """

    def __init__(self, file: Path, engine: Engine, training: str) -> None:
        self._file = file
        self._engine = engine
        self._head = {"curve": training}

    def begin(self, step: int) -> None:
        """Keep the points up to a resume point's step; 0 starts a new curve."""
        if not self._engine.is_main:
            return
        lines = read_lines(self._file.read_text(encoding="utf-8")) if step and self._file.is_file() else []
        kept = [line for line in lines if line.get("step", step + 1) <= step]
        write_text(self._file, "".join(f"{json.dumps(line)}\n" for line in (self._head, *kept)))

    def add(self, *, epoch: int, step: int, lr: float, terms: Mapping[str, Tensor]) -> None:
        """Append a point.

        Args:
            epoch: from 0.
            step: from 1, over all epochs.
            lr: learning rate of the step.
            terms: loss terms of this step, scalars; the mean over processes is written.
        """
        names = sorted(terms)
        sums = self._engine.sum(torch.stack([terms[name].double() for name in names]))
        if not self._engine.is_main:
            return
        losses = [value / self._engine.world_size for value in sums.tolist()]
        point: dict[str, Any] = {"step": step, "epoch": epoch, "lr": lr}
        point |= {f"train_{name}": loss for name, loss in zip(names, losses, strict=True)}
        with self._file.open("a", encoding="utf-8") as stream:
            stream.write(f"{json.dumps(point)}\n")
