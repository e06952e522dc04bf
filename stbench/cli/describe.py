"""Declarations of plugins, read from their source, so that listing them does not import torch."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from stbench.errors import first_line

GROUP = "stbench.methods"


@dataclass(frozen=True)
class Description:
    """One line of ``stbench list methods``."""

    summary: str
    paper: str = ""
    variants: str = ""


def describe_methods() -> dict[str, Description]:
    """Return all declared methods by name."""
    return describe_group(GROUP)


def describe_group(group: str) -> dict[str, Description]:
    """Return all plugins of a group by name; one with unreadable source shows the reason."""
    return {entry.name: describe(entry) for entry in sorted(entry_points(group=group), key=lambda e: e.name)}


def describe(entry: EntryPoint) -> Description:
    """Read the class of an entry point: ``summary`` (else the docstring's first line), ``paper``, ``variants``."""
    try:
        spec = find_spec(entry.module)
        if spec is None or spec.origin is None:
            return Description(f"cannot be found: {entry.value}")
        tree = ast.parse(Path(spec.origin).read_bytes())
    except (Exception, SystemExit) as error:  # foreign code: looking for a module imports the packages above it
        return Description(f"cannot be read: {entry.value} ({type(error).__name__}: {first_line(error)})")
    found = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == entry.attr]
    return _of_class(found[0]) if found else Description(f"defined elsewhere: {entry.value}")


def _of_class(node: ast.ClassDef) -> Description:
    values = {
        target.id: statement.value
        for statement in node.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    first_line = (ast.get_docstring(node) or "").partition("\n")[0]
    summary = values.get("summary")
    return Description(
        summary=str(summary.value) if isinstance(summary, ast.Constant) else first_line,
        paper=_paper(values.get("paper")),
        variants=_keys(values.get("variants")),
    )


def _paper(node: ast.expr | None) -> str:
    if not isinstance(node, ast.Call):
        return ""
    fields = {word.arg: word.value.value for word in node.keywords if isinstance(word.value, ast.Constant)}
    return ", ".join(str(fields[name]) for name in ("authors", "venue") if name in fields)


def _keys(node: ast.expr | None) -> str:
    if not isinstance(node, ast.Dict):
        return ""
    return ", ".join(str(key.value) for key in node.keys if isinstance(key, ast.Constant))
