"""What every logger promises: it hears a sweep out, resumed or not, and writes below the output folder only."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stbench.conformance.outcome import Check, ViolationError, check
from stbench.conformance.sweeps import baseline_specs
from stbench.events import Logger, SweepListener

EPOCHS = 2


@dataclass(frozen=True)
class LoggerSubject:
    """A logger under its registered name."""

    name: str
    logger: Logger

    @contextlib.contextmanager
    def folders(self) -> Iterator[tuple[Path, Path]]:
        """An output folder and, beside it, an empty working folder while the block runs."""
        with tempfile.TemporaryDirectory() as name:
            out, elsewhere = Path(name) / "out", Path(name) / "elsewhere"
            out.mkdir()
            elsewhere.mkdir()
            with contextlib.chdir(elsewhere):
                yield out, elsewhere

    def hear(self, out: Path) -> None:
        """Tell it of a sweep of two runs, the second of which fails after its first epoch."""
        listener = self.logger(out)
        specs = baseline_specs()
        listener.data_opened("100 clips")
        for number, spec in enumerate(specs, 1):
            run = listener.run_listener(spec, number, len(specs))
            for epoch in range(EPOCHS if number == 1 else 1):
                run.on_step(epoch=epoch, step=1, steps=2, loss=0.5, lr=1e-3)
                run.on_epoch({"epoch": epoch, "step": 2 * epoch + 2, "lr": 1e-3, "train_loss": 0.5, "new_key": None})
            if number == 1:
                run.on_evaluate()
            listener.run_done(spec, "finished" if number == 1 else "failed", None)
        listener.close()


@check(crash_cause="it is not called with the output folder alone")
def declaration(subject: LoggerSubject) -> None:
    """Called with an output folder, it gives a listener of sweeps with every event."""
    with subject.folders() as (out, _):
        listener = subject.logger(out)
        events = [name for name in vars(SweepListener) if not name.startswith("_")]
        missing = [name for name in events if not callable(getattr(listener, name, None))]
        if missing:
            raise ViolationError("a SweepListener", f"no {', '.join(missing)}", "SweepListener is not its base class")
        listener.close()


@check(crash_cause="an event is not foreseen: a failed run, a run without result, a new or missing key of a record")
def whole_sweep(subject: LoggerSubject) -> None:
    """It hears a sweep from start to end, with a run that fails."""
    with subject.folders() as (out, _):
        subject.hear(out)


@check(crash_cause="what an earlier sweep wrote is in its way")
def resumed_sweep(subject: LoggerSubject) -> None:
    """A second sweep into the same folder keeps what the first one wrote."""
    with subject.folders() as (out, _):
        subject.hear(out)
        files = (path for path in out.rglob("*") if path.is_file() and not path.is_symlink())  # a link moves
        before = {path: path.stat().st_size for path in files}
        subject.hear(out)
        for path, size in before.items():
            if not path.is_file() or path.stat().st_size < size:
                name = path.relative_to(out)
                raise ViolationError(f"{name} as it was, or longer", "a shorter one, or none", "it is opened anew")


@check(crash_cause="a path does not start at the output folder")
def below_the_output_folder(subject: LoggerSubject) -> None:
    """It writes below the output folder, never into the working folder."""
    with subject.folders() as (out, elsewhere):
        subject.hear(out)
        strays = sorted(path.name for path in elsewhere.iterdir())
        if strays:
            raise ViolationError("an empty working folder", f"{', '.join(strays)} in it", "a path is relative")


CHECKS: tuple[Check, ...] = (declaration, whole_sweep, resumed_sweep, below_the_output_folder)
