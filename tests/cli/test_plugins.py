"""``stbench new-method`` and ``stbench check``: write a plugin, check it, reject a broken one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from stbench import UserError
from stbench.cli.app import app
from stbench.cli.new_method import write_plugin
from stbench.conformance.locate import methods_in_file
from tests.cli.commands import command

BROKEN = Path(__file__).parents[1] / "conformance" / "broken"


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(*arguments: object) -> str:
    result = invoke(*arguments)
    assert isinstance(result.exception, UserError), result.output
    return str(result.exception)


@pytest.mark.parametrize("recurrent", [False, True])
def test_a_new_plugin_passes_the_suite(recurrent: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = "fresh_rnn" if recurrent else "fresh_net"
    written = invoke("new-method", name, *(["--recurrent"] if recurrent else []))
    assert written.exit_code == 0, written.output
    result = invoke("check", f"{name}/{name}.py" if recurrent else name)
    assert result.exit_code == 0, result.output
    assert result.output.count("passed") == 15
    assert "Fresh" in result.output


def test_a_plugin_that_is_not_installed_yet_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_plugin("drift_two", tmp_path / "drift_two", recurrent=False)
    message = refused("run", "-m", "tau,drift_two:width=4", "-d", "moving_digits", "--protocol", "quick", "--dry-run")
    assert "'drift_two' is not installed" in message
    assert "pip install -e drift_two" in message


@pytest.mark.slow
@pytest.mark.parametrize("recurrent", [False, True])
def test_the_plugin_s_own_tests_pass(recurrent: bool, tmp_path: Path) -> None:
    folder = tmp_path / "own_tests"
    write_plugin("own_tests", folder, recurrent=recurrent)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    assert "15 passed" in done.stdout


def test_nothing_is_overwritten_and_no_name_is_taken_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert "already exists" in refused("new-method", "mine")
    assert not list((tmp_path / "mine").iterdir())
    assert "There is a method 'tau' already" in refused("new-method", "tau")
    assert "There is a Python module 'json' already" in refused("new-method", "json")
    for name in ("Bad", "a-b", "1st", "class", "../x"):
        assert "is not a valid module name" in refused("new-method", name)


def test_a_broken_plugin_fails_with_expected_seen_and_cause() -> None:
    result = invoke("check", BROKEN / "dead_parameters.py")
    assert result.exit_code == 1
    for text in ("expected: a gradient for every parameter", "forgotten.bias, forgotten.weight", "likely cause: dead"):
        assert text in result.output


def test_several_targets_share_one_summary() -> None:
    result = invoke("check", "persistence", "linear")
    assert result.exit_code == 0, result.output
    assert "2 of 2 methods pass" in result.output
    assert result.output.count("9 passed, 7 not applicable") == 2


def test_a_shape_may_be_given() -> None:
    assert invoke("check", "persistence", "--shape", "3,5,1,8,12").exit_code == 0
    result = invoke("check", "linear", "--shape", "1,1,1,8,8")
    assert result.exit_code == 0
    assert "skipped at this shape: needs at least 2 past frames" in result.output
    result = invoke("check", "mau", "--shape", "2,2,1,9,9")
    assert result.exit_code == 0, result.output  # computes on padded frames


def test_mistakes_are_named() -> None:
    assert "Did you mean 'tau'?" in refused("check", "tua")
    assert "Give names, files, or --all" in refused("check")
    assert "Give names, files, or --all" in refused("check", "tau", "--all")
    assert "unknown key 'hidt'" in refused("check", "tau", "--set", "hidt=3")
    assert "five whole numbers" in refused("check", "tau", "--shape", "4,4")
    assert "t_in = 0" in refused("check", "tau", "--shape", "0,1,1,8,8")
    assert "beside a colon" in refused("check", "tau:")
    assert "is not a file" in refused("check", "nowhere.py")


def test_files_without_methods_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("x = 1\n")
    (tmp_path / "wrong.py").write_text("import nowhere_to_be_found\n")
    with pytest.raises(UserError, match=r"defines no subclass of stbench\.Method"):
        methods_in_file(tmp_path / "empty.py")
    with pytest.raises(UserError, match="cannot be imported: ModuleNotFoundError"):
        methods_in_file(tmp_path / "wrong.py")


def test_a_package_with_relative_imports_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "packaged"
    folder.mkdir()
    (folder / "parts.py").write_text("from stbench.nn import Method\n\n\nclass Base(Method):\n    pass\n")
    (folder / "__init__.py").write_text(
        "from .parts import Base\n\n\nclass Middle(Base):\n    pass\n\n\nclass Leaf(Middle):\n    pass\n"
    )
    assert [method.__name__ for method in methods_in_file(folder)] == ["Leaf"]


@pytest.mark.slow
def test_every_installed_method_passes_in_three_minutes() -> None:
    done = subprocess.run(command("check", "--all"), capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout
    assert "methods pass." in done.stdout
