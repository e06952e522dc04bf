"""``stbench new-method``: writes a runnable plugin package as a starting point."""

from __future__ import annotations

import keyword
import re
from importlib.metadata import entry_points
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from stbench.cli.describe import GROUP
from stbench.errors import UserError

NAME = re.compile(r"[a-z][a-z0-9_]*")


def new_method_command(
    name: Annotated[str, typer.Argument(help="Name in tables and on the command line, e.g. my_method.")],
    recurrent: Annotated[
        bool, typer.Option("--recurrent", help="Write a recurrent method instead of a feed-forward one.")
    ] = False,
) -> None:
    """Write a package with a one-file method plugin and its tests into ./NAME."""
    folder = Path(name)
    for path in write_plugin(name, folder, recurrent=recurrent):
        typer.echo(path)
    typer.echo(
        f"\nCheck it:    stbench check {folder / name}.py\n"
        f"Install it:  pip install -e {folder}\n"
        f"Run it:      stbench run --methods {name},convlstm --dataset moving_digits --protocol quick"
    )


def write_plugin(name: str, folder: Path, *, recurrent: bool) -> list[Path]:
    """Write the files of a plugin and return their paths.

    Raises:
        UserError: the name is not valid for a module or is taken, or the folder exists.
    """
    _check_name(name)
    if folder.exists():
        raise UserError(f"{folder} already exists. Choose another name, or move it away.")
    words = {"name": name, "Class": "".join(part.capitalize() for part in name.split("_"))}
    contents = {
        folder / "pyproject.toml": "pyproject.toml.tmpl",
        folder / f"{name}.py": "recurrent.py.tmpl" if recurrent else "parallel.py.tmpl",
        folder / "tests" / f"test_{name}.py": "test.py.tmpl",
    }
    templates = files("stbench.cli").joinpath("templates")
    for path, template in contents.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        text = Template(templates.joinpath(template).read_text(encoding="utf-8")).substitute(words)
        path.write_text(text, encoding="utf-8")
    return list(contents)


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise UserError(f"{name!r} is not a valid module name. Use lower-case letters, digits and _, e.g. my_method.")
    if name in {entry.name for entry in entry_points(group=GROUP)}:
        raise UserError(f"There is a method {name!r} already; see 'stbench list methods'. Choose another name.")
    if find_spec(name) is not None:
        raise UserError(f"There is a Python module {name!r} already, which would hide yours. Choose another name.")
