"""Mistakes around the command line: broken plugins, a launcher's leftovers, absurd sizes. One line each."""

from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

import stbench.cli
from stbench import registry as registry_module
from stbench.cli import describe
from stbench.cli import list as list_module
from stbench.cli.app import app
from stbench.errors import MachineError, UserError
from stbench.events import LOGGERS, RunFanOut, RunListener
from stbench.registry import Registry
from stbench.schema import Budget
from stbench.settings import parse_override
from stbench.sweep.plan import Request, check_devices, make_plan

BROKEN = {
    "no_module": "no_such_module_anywhere:X",
    "no_syntax": "broken_syntax:X",
    "no_text": "broken_bytes:X",
    "leaves": "broken_exit.below:X",
    "raises": "broken_raise.below:X",
    "odd": "not an entry point!",
    "hostile": "no_such:[/red]\x1b[31m",
    "fine": "stbench.loggers.csv:CsvLogger",
}


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Entry points of packages that are broken in every way, and of one that is not."""
    (tmp_path / "broken_syntax.py").write_text("def f(:\n")
    (tmp_path / "broken_bytes.py").write_bytes(b"# \xff\xfe\x00\n")
    for name, line in (("broken_exit", "raise SystemExit(3)"), ("broken_raise", "1 / 0")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(line)
        (tmp_path / name / "below.py").write_text("class X: ...")
    monkeypatch.syspath_prepend(tmp_path)
    found = [EntryPoint(name, value, "group") for name, value in BROKEN.items()]
    for module in (registry_module, describe):
        monkeypatch.setattr(module, "entry_points", lambda group: found)
    return BROKEN


@pytest.mark.parametrize("kind", ["methods", "executors", "loggers"])
def test_a_broken_plugin_is_named_and_the_others_listed(
    kind: str, plugins: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stbench.events.LOGGERS", Registry("logger", "group"))
    result = CliRunner().invoke(app, ["list", kind])
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output
    assert all(name in result.output for name in plugins)
    assert "epochs.csv" in result.output, "the one that is not broken is described"


def test_a_broken_benchmark_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    from stbench.data.benchmarks import download_list, lookup

    registry: Registry[Any] = Registry("benchmark", "no.such.group")
    registry.add("good", None)
    registry.add("torn", None)
    shape = SimpleNamespace(t_in=1, t_out=1, frame=(1, 2, 2))
    made = SimpleNamespace(version=1, protocols={}, title="a good one", shape=shape)
    monkeypatch.setattr(download_list, "downloads_of", lambda _: ())

    def load(name: str) -> Any:
        if name == "torn":
            raise KeyError("protocol")
        return made

    monkeypatch.setattr(lookup, "BENCHMARKS", registry)
    monkeypatch.setattr(lookup, "load_benchmark", load)
    monkeypatch.setattr(lookup, "needs_files", lambda _: True)
    _, rows = list_module._benchmarks()
    assert [row[0] for row in rows] == ["good", "torn"]
    assert "The benchmark 'torn' cannot be shown: KeyError" in rows[1][-1]


def plan(*overrides: str, **training: Any) -> Any:
    pairs = [parse_override(text) for text in overrides]
    request = Request(["convlstm"], "moving_digits", "quick", training=training, overrides=pairs)
    return make_plan(request)


@pytest.mark.parametrize(
    ("overrides", "training", "message"),
    [
        ([], {"epochs": 30_000_000}, r"epochs = 30000000: .*1000000.*--epochs"),
        (["steps=1000000000000"], {}, r"steps = 1000000000000"),
        ([], {"budget": "1e300epochs"}, r"pays for 1e\+300 epochs"),
        ([], {"budget": "1e30MACs"}, "steps of 'convlstm'; at most"),
        ([], {"budget": "1e300h"}, "at most 10 years"),
        ([], {"budget": "1e999min"}, "budget"),
        (["optimizer.betas=[0.9, 2]"], {}, "betas"),
    ],
)
def test_absurd_lengths_are_refused_at_once(overrides: list[str], training: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        plan(*overrides, **training)


def test_a_plan_finds_what_an_optimizer_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    from stbench.train.optimizers import Adam

    def refuses(*_: object) -> None:
        raise ValueError("an odd number of groups")

    monkeypatch.setattr(Adam, "build", refuses)
    with pytest.raises(UserError, match="the optimizer 'adam' cannot be built: ValueError: an odd number of groups"):
        plan()


def test_a_plan_finds_what_several_processes_cannot_do() -> None:
    with pytest.raises(UserError, match="fast_conv of 'convlstm' needs a single process"):
        check_devices(plan("fast_conv=true").specs, 2)


def test_a_budget_without_end_is_none() -> None:
    with pytest.raises(ValueError, match="finite"):
        Budget(kind="macs", amount=float("inf"))


def test_a_logger_that_fails_is_named_and_is_no_crash_of_the_run() -> None:
    class Talks(RunListener):
        def on_evaluate(self) -> None:
            raise ZeroDivisionError

    with pytest.raises(UserError, match=r"The logger .*Talks fails: ZeroDivisionError"):
        RunFanOut([RunListener(), Talks()]).on_evaluate()
    assert "csv" in LOGGERS


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UserError("no such method"), 2, "Error: no such method"),
        (MachineError("the disk is full"), 1, "Error: the disk is full"),
        (OSError(5, "Input/output error"), 1, "Input/output error. Free space"),
        (RuntimeError("[gloo] Connection closed by peer"), 1, "Connection closed by peer"),
        (KeyboardInterrupt(), 130, "Interrupted."),
    ],
)
def test_exit_codes(
    error: BaseException, code: int, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> None:
        raise error

    monkeypatch.setattr(stbench.cli, "app", fails)
    with pytest.raises(SystemExit) as left:
        stbench.cli.main()
    assert left.value.code == code
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
