"""The README's Python runs, and its commands parse with the real options."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from stbench.cli.app import app

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = sorted({line.partition("  #")[0].strip() for line in README.splitlines() if re.match(r" {4}stbench ", line)})


def test_there_are_examples() -> None:
    assert len(PYTHON) >= 2
    assert len(COMMANDS) >= 5


@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_python_runs(code: str) -> None:
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_parse(line: str) -> None:
    """Each command's name and options exist and its values have the right type."""
    command = typer.main.get_command(app)
    arguments = shlex.split(line)[1:]
    while hasattr(command, "commands"):
        name = arguments.pop(0)
        command = command.commands[name]
    with command.make_context(name, arguments) as context:
        assert context.params


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"make ([a-z-]+)", README + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *(f"docs/{page.name}" for page in ROOT.glob("docs/*.md"))]


@pytest.mark.parametrize("name", PAGES)
def test_linked_files_exist(name: str) -> None:
    page = ROOT / name
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{name} links to {target}"


def test_the_design_names_what_exists() -> None:
    """Paths in code spans of the design page are below the checkout, ``stbench/`` or ``stbench/data/``."""
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    named = {span.rstrip("/") for span in re.findall(r"`([a-z_/]+(?:/|\.py))`", text)}
    assert len(named) > 20
    homes = [ROOT, ROOT / "stbench", ROOT / "stbench" / "data"]
    assert sorted(span for span in named if not any((home / span).exists() for home in homes)) == [
        "checkpoints",  # these two are in run folders
        "scenarios",
    ]
