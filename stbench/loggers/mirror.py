"""Loggers that show runs in a tool for live curves: each curve is a copy of what the run folder holds.

An event only says that there may be more to copy. What the tool has of a curve is not sent again. A resumed run, a
second command, and a tool that was away for a while therefore end with every point once.
"""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from stbench.errors import UserError, first_line
from stbench.events import Outcome, RunListener, SweepListener
from stbench.loggers.pictures import sample_pictures
from stbench.schema.folder import RunFolder, write_text
from stbench.schema.lines import CURVE, GrowingLines
from stbench.schema.samples import read_samples

if TYPE_CHECKING:
    from stbench.loggers.pictures import Picture
    from stbench.schema import RunResult, RunSpec

NOT_VALUES = ("step", "epoch")


@dataclass
class Sink(ABC):
    """One run in a tool.

    Attributes:
        known: the last step that the tool has, by name of the value; such steps are not sent again.
        floor: the last step that it has of every other value.
    """

    known: dict[str, int] = field(default_factory=dict)
    floor: int = -1

    @abstractmethod
    def values(self, step: int, values: Mapping[str, float]) -> None:
        """Send values at a step; all of them are new."""

    @abstractmethod
    def picture(self, step: int, name: str, picture: Picture) -> None:
        """Send a picture (H, W, 3), 8 bits."""

    @abstractmethod
    def close(self, outcome: Outcome | None) -> None:
        """Let go of the run, whose values so far are kept; ``outcome`` is None if the sweep was stopped."""


class MirrorLogger(SweepListener, ABC):
    """Base of such loggers.

    Args:
        out: output folder of the sweep.

    Raises:
        UserError: the tool is not installed.
    """

    name: ClassVar[str]
    """Of the logger and of the extra that installs it."""
    package: ClassVar[str]
    """What is imported."""

    def __init__(self, out: Path) -> None:
        if find_spec(self.package) is None:
            raise UserError(f"--log {self.name} needs {self.package}: pip install 'stbench[{self.name}]'")
        self.out = out
        self._runs: dict[str, _Mirror] = {}

    @abstractmethod
    def open(self, spec: RunSpec, curve: str) -> Sink:
        """Open or continue a run in the tool.

        Args:
            spec: the run.
            curve: identifies its training; another value means that training started anew. Empty for none.
        """

    def run_listener(self, spec: RunSpec, number: int, runs: int) -> RunListener:  # noqa: ARG002 - the event's signature
        """Copy the curve of a run while it is trained."""
        return self._mirror(spec)

    def run_done(self, spec: RunSpec, outcome: Outcome, result: RunResult | None, note: str = "") -> None:  # noqa: ARG002
        """Copy what is left, the scores and sample pictures of a finished run; complete copies stay as they are."""
        mirror = self._mirror(spec)
        del self._runs[spec.folder]
        mirror.end(outcome, result)

    def close(self) -> None:
        """Let go of all runs."""
        for mirror in self._runs.values():
            mirror.end(None, None)
        self._runs.clear()

    def _mirror(self, spec: RunSpec) -> _Mirror:
        return self._runs.setdefault(spec.folder, _Mirror(self, spec))


class _Mirror(RunListener):
    def __init__(self, logger: MirrorLogger, spec: RunSpec) -> None:
        self._logger = logger
        self._spec = spec
        self._folder = RunFolder(logger.out / "runs" / spec.folder)
        self._curve = ""
        self._trouble = ""
        self._start_over()

    def _start_over(self) -> None:
        """Read the run folder from its beginning; the tool is then asked what it has."""
        self._points = GrowingLines(self._folder.file(CURVE))
        self._epochs = GrowingLines(self._folder.file("history.jsonl"))
        self._sink: Sink | None = None

    def on_step(self, *, epoch: int, step: int, steps: int, loss: float, lr: float) -> None:  # noqa: ARG002
        """Copy what is new."""
        self._attempt(self._copy)

    def on_epoch(self, record: Mapping[str, Any]) -> None:  # noqa: ARG002 - the folder has it
        """Copy what is new."""
        self._attempt(self._copy)

    def end(self, outcome: Outcome | None, result: RunResult | None) -> None:
        """Copy what is left and let go; a copy that is complete is not made again."""
        mark = self._logger.out / self._logger.name / ".complete" / self._spec.folder
        whole = outcome in ("finished", "already done", "failed")
        state = "" if result is None else f"{result.status} {result.finished_at}"
        is_known = outcome == "already done" and mark.is_file() and mark.read_text(encoding="utf-8") == state
        if is_known or outcome == "busy" or (outcome is None and self._sink is None):
            return
        self._trouble = ""
        self._attempt(lambda: self._finish(outcome, result))
        if self._trouble:
            warnings.warn(
                f"--log {self._logger.name}: the curve of {self._spec.folder} is not complete ({self._trouble}). "
                "Repeat the command to complete it.",
                stacklevel=2,
            )
        elif whole:
            mark.parent.mkdir(parents=True, exist_ok=True)
            write_text(mark, state)

    def _attempt(self, copy: Callable[[], None]) -> None:
        """Copy; a tool that cannot take it now stops no run, because the next event copies everything it lacks."""
        try:
            copy()
        except (UserError, MemoryError):
            raise
        except Exception as error:
            self._trouble = first_line(error)
            self._start_over()

    def _finish(self, outcome: Outcome | None, result: RunResult | None) -> None:
        self._copy()
        sink = self._open(self._curve)
        if result is not None and result.status == "finished":
            step = max(sink.known.values(), default=max(sink.floor, 0))
            self._send(step, {f"test/{name}": score.total for name, score in result.test.items()})
            samples = read_samples(self._folder.file("samples.npz"), self._spec.shape)
            for name, picture in sample_pictures(samples, self._spec.value_range):
                sink.picture(step, name, picture)
        sink.close(outcome if result is None else result.status)
        self._sink = None

    def _copy(self) -> None:
        """Send what is new, in the order of steps, which some tools insist on.

        Points are read first: an epoch is on disk before the first point of the next one.
        """
        rows: dict[int, dict[str, float]] = {}
        for line in self._points.new():
            if "curve" in line:
                self._open(str(line["curve"]))
            elif "step" in line:
                rows.setdefault(line["step"], {}).update(_values("step", line))
        for record in self._epochs.new():
            rows.setdefault(record.get("step", 0), {}).update(_values("epoch", record))
        for step in sorted(rows):
            self._send(step, rows[step])

    def _open(self, curve: str) -> Sink:
        """Return the sink of a training; a curve file that was cut at a resume point is of the same training."""
        if self._sink is None or curve != self._curve:
            if self._sink is not None:
                self._sink.close(None)
            self._curve, self._epochs = curve, GrowingLines(self._folder.file("history.jsonl"))
            self._sink = self._logger.open(self._spec, curve)
        return self._sink

    def _send(self, step: int, values: Mapping[str, float]) -> None:
        sink = self._open(self._curve)  # a run of an earlier version, or an untrained one, has no curve of points
        new = {key: value for key, value in values.items() if step > sink.known.get(key, sink.floor)}
        if new:
            sink.values(step, new)
            sink.known.update(dict.fromkeys(new, step))


def _values(kind: str, record: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a record that a tool can draw, named ``kind/key``."""
    numbers = {key: value for key, value in record.items() if isinstance(value, int | float) and key not in NOT_VALUES}
    return {f"{kind}/{key}": float(value) for key, value in numbers.items() if math.isfinite(value)}
