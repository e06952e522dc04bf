"""What a sweep says: the first step at once, the time left, and a bar of the sweep on a terminal."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from stbench.cli import display
from stbench.cli.display import SweepDisplay
from tests.report.runs import make_spec


def shown(terminal: bool) -> tuple[SweepDisplay, io.StringIO]:
    stream = io.StringIO()
    made = SweepDisplay()
    made.console = Console(file=stream, width=160, force_terminal=terminal)
    return made, stream


def test_the_first_step_and_an_eta_are_shown_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two epochs of 50 steps of 30 s, the first with 10 s of start-up: under 66 min, then 99 steps less."""
    clock = SimpleNamespace(monotonic=lambda: 0.0)
    monkeypatch.setattr(display, "time", clock)
    made, stream = shown(terminal=False)
    run = made.run_listener(make_spec(), 1, 3)
    for step, now in ((1, 40.0), (2, 70.0)):
        clock.monotonic = lambda now=now: now
        run.on_step(epoch=0, step=step, steps=50, loss=0.5, lr=0.1)
    first, second = stream.getvalue().splitlines()
    assert "step 1/50 loss 0.5" in first
    assert first.endswith("ETA < 66.0 min")
    assert second.endswith("ETA 49.0 min")


def test_the_sweep_has_a_bar_of_its_own() -> None:
    made, _ = shown(terminal=True)
    made.run_listener(make_spec(seed=1), 1, 2)
    assert made.bars is not None
    assert made.sweep is not None
    (bar,) = (task for task in made.bars.tasks if task.id == made.sweep)
    assert (bar.completed, bar.total) == (0, 2)
    made.run_done(make_spec(seed=1), "finished", None)
    assert (bar.completed, bar.total) == (1, 2)
    made.close()
    assert made.bars is None


def test_quiet_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    made = SweepDisplay(quiet=True)
    made.note("hello")
    made.run_listener(make_spec(), 1, 1).on_evaluate()
    assert not made.is_helper
    assert capsys.readouterr().out == ""
