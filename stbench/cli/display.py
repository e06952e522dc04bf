"""Display of a sweep: progress bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from stbench.errors import counted
from stbench.events import Outcome, RunListener, SweepListener
from stbench.report.encode import terminal
from stbench.report.numbers import format_duration
from stbench.report.writers.terminal import fit, plain_width
from stbench.schema import RunResult, RunSpec
from stbench.sweep.estimate import Duration
from stbench.sweep.launch import Part
from stbench.train.launch import is_helper
from stbench.train.length import Length, run_length

PLAIN_SECONDS = 10.0
PLAN_ORDER = (0, 3, 2, 5, 4, 1, 6)
"""Columns of the plan by priority."""


def _time_text(time: Duration | None) -> str:
    if time is None:
        return ""
    return "done" if time.kind == "done" else f"{'~ ' * (time.kind == 'estimate')}{format_duration(time.seconds)}"


class SweepDisplay(SweepListener):
    """Listener that shows a sweep to the user."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.is_helper = is_helper()
        """Whether another process of this run prints."""
        self.console = plain_width(Console(quiet=quiet or self.is_helper))
        self.bars: Bars | None = None
        self.watched: dict[str, RunDisplay] = {}
        self.sweep: TaskID | None = None
        """Bar of the whole sweep, in runs."""
        self.ended = 0

    def plan(self, plan: Part, times: Mapping[str, Duration]) -> None:
        """Show the plan; ``times`` are known or estimated durations by folder name."""
        heads = ["method", "encoder", "seed", "training", "lr", "time", "run folder"]
        rows = []
        for spec in plan.specs:
            t = spec.training
            size = "none" if t is None else f"{t.extent}, batch size {t.batch_size}, {t.precision}-bit"
            lr = "–" if t is None else f"{t.lr:g}"
            time_left = _time_text(times.get(spec.folder))
            rows.append(
                [terminal(spec.method), spec.encoder, str(spec.seed), size, lr, time_left, terminal(spec.folder)]
            )
        look: dict[str, Any] = {"numbers": False, "box": None, "header_style": "bold", "pad_edge": False}
        order = PLAN_ORDER if times else [column for column in PLAN_ORDER if heads[column] != "time"]
        table, _ = fit(heads, rows, order, self.console.width, title=terminal(f"Plan: {plan.title}"), **look)
        self.console.print(f"Plan: {counted(len(rows), 'run')}" if table is None else table)
        if any(time.kind == "estimate" for time in times.values()):
            self.note("~: estimated from finished runs of the same method, sizes and device in this folder")
        for name, reason in plan.skipped.items():
            self.note(f"{name} left out: {reason}")

    def note(self, text: str) -> None:
        """Print a line."""
        self.console.print(terminal(text), highlight=False)

    def data_opened(self, report: str) -> None:
        """Print what was read and dropped."""
        self.note(f"Data: {report}")

    def run_listener(self, spec: RunSpec, number: int, runs: int) -> RunDisplay:
        """Return the display of one run, beside those of other current runs."""
        label = f"[{number}/{runs}] {spec.method} seed {spec.seed}"
        if self.console.is_terminal and self.bars is None:
            self.bars = Bars(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=self.console,
            )
            self.bars.start()
            if runs > 1:
                self.sweep = self.bars.add_task("runs", total=runs, completed=self.ended, note="")
        self.watched[spec.folder] = RunDisplay(self, label, spec)
        return self.watched[spec.folder]

    def run_done(self, spec: RunSpec, outcome: Outcome, result: RunResult | None, note: str = "") -> None:
        """Print how a run ended."""
        ended = self.watched.pop(spec.folder, None)
        if ended is not None and ended.task is not None and self.bars is not None:
            self.bars.remove_task(ended.task)
        self.ended += 1
        if self.bars is not None and self.sweep is not None:
            self.bars.update(self.sweep, completed=self.ended)
        elif not self.watched:
            self.close()
        text = f"{spec.method} seed {spec.seed}: {outcome}"
        if result is not None and result.failure is not None:
            text += f" ({result.failure.kind}: {result.failure.reason})"
        elif result is not None and outcome == "finished":
            name, score = next(iter(result.test.items()))
            text += f", test {name} {score.total:.4g} in {(result.train_seconds or 0):.0f} s of training"
        elif outcome == "busy":
            text += ": another process is working on it"
        if outcome == "unfinished":
            text += f": {note.rstrip('.')}. Repeat the command to continue."
        elif note:
            text += f" ({note})"
        self.note(text)

    def close(self) -> None:
        """Remove the progress bars."""
        if self.bars is not None:
            self.bars.stop()
            self.bars = self.sweep = None


class RunDisplay(RunListener):
    """Display of one run."""

    def __init__(self, owner: SweepDisplay, label: str, spec: RunSpec) -> None:
        self.owner = owner
        self.label = label
        self.training = spec.training
        self.total: Length | None = None
        self.task: TaskID | None = None
        self.started = time.monotonic()
        self.first: tuple[float, int] | None = None
        self.said: float | None = None

    def on_step(self, *, epoch: int, step: int, steps: int, loss: float, lr: float) -> None:
        """Show progress within an epoch."""
        done = epoch * steps + step
        if self.training is not None and self.training.time_limit is None:
            self.total = run_length(self.training, steps)
        total = None if self.total is None else self.total.steps
        if self.owner.bars is not None:
            if self.task is None:
                self.task = self.owner.bars.add_task(terminal(self.label), total=total, note="")
            note = f"epoch {self._number(epoch)} loss {loss:.4g} lr {lr:.2g}"
            self.owner.bars.update(self.task, completed=done, note=note)
            return
        now = time.monotonic()
        self.first = self.first or (now, done)
        if self.said is None or now - self.said >= PLAIN_SECONDS:
            self.said = now
            eta = self._eta(now, done, total)
            place = f"epoch {self._number(epoch)} step {step}/{steps}"
            self.owner.note(f"{self.label} {place} loss {loss:.4g} lr {lr:.2g} ETA {eta}")

    def on_epoch(self, record: Mapping[str, Any]) -> None:
        """Show the result of an epoch."""
        self.owner.note(
            f"{self.label} epoch {self._number(record['epoch'])}: loss {record['train_loss']:.4g}, "
            f"validation mse_frame {record['val_mse_frame']:.4g}, {record['train_seconds']:.1f} s"
        )

    def on_note(self, text: str) -> None:
        """Say it."""
        self.owner.note(f"{self.label}: {text}")

    def on_evaluate(self) -> None:
        """Show that the test split is being scored."""
        if self.owner.bars is None:
            self.owner.note(f"{self.label}: scoring the test split")

    def _number(self, epoch: int) -> str:
        """Return the number of an epoch, with the total if known."""
        return str(epoch + 1) if self.total is None else f"{epoch + 1}/{self.total.epochs}"

    def _eta(self, now: float, done: int, total: int | None) -> str:
        """Return the time left; after the first step, judged by that step with all that came before it."""
        if total is None or self.first is None:
            return "–"
        steps = done - self.first[1]
        each = (now - self.first[0]) / steps if steps > 0 else now - self.started
        return f"{'' if steps > 0 else '< '}{format_duration(each * (total - done))}"
