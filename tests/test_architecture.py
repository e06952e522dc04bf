"""The layers of docs/design.md, and no plugin's name in the harness."""

import ast
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

from stbench.data.benchmarks.lookup import TEMPLATE

ROOT = Path(__file__).resolve().parents[1]
HARNESS = sorted((ROOT / "stbench").rglob("*.py"))


def test_imports_point_downwards() -> None:
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


@pytest.mark.parametrize("path", HARNESS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_plugin_is_named_in_code(path: Path) -> None:
    """String constants that equal a method's or benchmark's name; the template of a user's own data is no dataset."""
    names = {e.name for group in ("stbench.methods", "stbench.benchmarks") for e in entry_points(group=group)}
    names -= {TEMPLATE}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and n.value in names]
    assert named == []


def test_sizes_stay_readable() -> None:
    long_files = [p for p in HARNESS if len(p.read_text(encoding="utf-8").splitlines()) > 400]
    assert long_files == []
    for path in [*HARNESS, *sorted((ROOT / "methods").rglob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 80, f"{path}: {node.name}"
