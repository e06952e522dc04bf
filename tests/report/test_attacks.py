"""Untrusted run folders: no text in them has an effect in a page, LaTeX, Markdown, a spreadsheet or a terminal."""

import csv
import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markdown_it import MarkdownIt
from rich.console import Console
from typer.testing import CliRunner

from stbench.cli.app import app
from stbench.report.analysis.section import make_report
from stbench.report.analysis.table import make_tables
from stbench.report.collect.records import RunRecord, collect
from stbench.report.encode import csv_cell, file_name, latex, link, markdown, picture, terminal, visible
from stbench.report.produce import Format, produce
from stbench.report.writers.terminal import to_rich
from stbench.schema import Failure, RunSpec
from tests.report.browser import CHROMIUM, drive
from tests.report.runs import make_run, make_spec

ERRORS = np.full((4, 3), 2.0)
PAYLOADS = {
    "html": "<script>alert(1)</script><img src=x onerror=alert(2)>",
    "attribute": '" onmouseover="alert(3)" x="',
    "markdown": "[click](javascript:alert(4)) ![x](http://127.0.0.1:1/t.png) **b**",
    "formula": '=HYPERLINK("http://127.0.0.1/?"&A1,"x")',
    "formula2": "@SUM(1+1)*cmd|' /C calc'!A0",
    "formula3": "-2+3+cmd|' /C calc'!A0",
    "tex": r"\input{/etc/passwd}\immediate\write18{id}$^^5cinput",
    "rich": "[/red]x",
    "action": "[@click=x(]",
    "ansi": "\x1b]0;owned\x07\x1b[2J\x1b[31mred",
    "lines": "a\n| b | c |\n\n# Head\n<h1>x</h1>",
    "control": "a\x01b\x00c",
    "mathtext": r"$\undefined{$",
    "bidi": "\u202eevil",
    "quotes": "a'b`c`",
}


@pytest.fixture(params=PAYLOADS.values(), ids=PAYLOADS)
def attacked(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """A finished and a failed run that carry the text in every place a run folder has for it."""
    text: str = request.param
    root = tmp_path / "runs"
    changes = {"method": text, "benchmark": text, "protocol": text, "config": {"width": text, text: 1}}
    extra = {"data_report": text, "unavailable": {text: text}}
    finished = make_run(root, make_spec(), ERRORS, **extra)
    failed = make_run(root, make_spec(seed=1), failure=Failure(kind="crashed", reason=text))
    for record in (finished, failed):
        respecify(record, **changes, origins={"config.width": text, text: text})
        record.folder.write_environment({"device": text, text: text, "git": {"commit": text, "modified": True}})
    return text, root


def respecify(record: RunRecord, **changes: Any) -> None:
    """Write another spec into a run folder, as somebody else could."""
    spec = RunSpec.model_validate({**record.spec.model_dump(), **changes})
    record.folder.create(spec)
    record.folder.write_result(record.result.model_copy(update={"run_id": spec.run_id}))


def test_no_format_obeys_it(attacked: tuple[str, Path], tmp_path: Path) -> None:
    _, root = attacked
    out = tmp_path / "out"
    produce(make_report(collect([root]), count_parameters=False), out, list(Format))
    texts = {path.name: path.read_text(encoding="utf-8") for path in out.iterdir() if path.is_file()}
    assert all(c.isprintable() or c == "\n" for name, text in texts.items() if name != "report.html" for c in text)
    html = texts["report.html"]
    assert "<script>alert" not in html
    assert "<img" not in html
    assert 'onmouseover="alert' not in html
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render(texts["report.md"])
    assert "<script>alert" not in rendered
    assert "<h1>" not in rendered
    assert 'javascript:alert(4)"' not in rendered
    assert '127.0.0.1:1/t.png"' not in rendered
    assert rendered.count("<table>") == 1
    assert r"\input{/etc" not in texts["table.tex"]
    assert "^^5c" not in texts["table.tex"]
    for name in ("runs.csv", "summary.csv"):
        for cells in csv.reader(io.StringIO(texts[name])):
            assert not [c for c in cells if c.lstrip()[:1] in ("=", "@", "+", "-") and not _number(c)]


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_the_terminal_shows_it_literally(attacked: tuple[str, Path]) -> None:
    text, root = attacked
    (table,) = make_tables(collect([root]).records)
    console = Console(width=10_000, color_system=None, file=io.StringIO())
    for width in (10_000, 40):
        console.print(to_rich(table, width))
    shown = console.file.getvalue()
    assert "\x1b" not in shown
    assert "".join(visible(text).split()) in "".join(shown.split())


def test_figures_stay_in_their_folder(tmp_path: Path) -> None:
    record = make_run(tmp_path / "runs", make_spec(), ERRORS)
    respecify(record, benchmark="../../escaped", protocol="/etc/x" + "y" * 300)
    out = tmp_path / "deep" / "out"
    written = produce(make_report(collect([tmp_path / "runs"])), out, list(Format))
    assert written
    assert all(path.resolve().is_relative_to(out) for path in written)
    assert not list(tmp_path.glob("*escaped*"))


NAMES = ('javascript:void(document.title="OWNED")<!--', "x}{\\input{|id}}", "exp #1 & co", "my_exp ~1", "100%", "a](b")


@pytest.fixture
def odd_folders(tmp_path: Path) -> Path:
    """Whole runs in folders with hostile names, beside the report."""
    for seed, name in enumerate(NAMES):
        made = make_run(tmp_path / "made", make_spec(seed=seed), ERRORS)
        (tmp_path / "out").mkdir(exist_ok=True)
        shutil.move(made.folder.path, tmp_path / "out" / name)
    produce(make_report(collect([tmp_path / "out"])), tmp_path / "out", [Format.HTML, Format.MD, Format.LATEX])
    return tmp_path / "out"


def test_links_lead_to_folders_with_odd_names(odd_folders: Path) -> None:
    from urllib.parse import unquote

    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render((odd_folders / "report.md").read_text())
    page = (odd_folders / "report.html").read_text()
    for name in NAMES:
        address = link(odd_folders / name, odd_folders)
        assert unquote(address) == name
        assert f'href="{address}"' in rendered
        assert f'href="{address}/"' in page


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_no_link_of_the_page_runs(odd_folders: Path, tmp_path: Path) -> None:
    steps = """
      document.querySelectorAll('details').forEach((one) => { one.open = true; });
      const links = [...document.querySelectorAll('details.run p a')];
      return {title: document.title, schemes: [...new Set(links.map((one) => one.protocol))], count: links.length};
    """
    seen, _ = drive(odd_folders / "report.html", steps, tmp_path)
    assert seen == {"title": "stbench report", "schemes": ["file:"], "count": len(NAMES)}


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles_with_odd_names(odd_folders: Path) -> None:
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "report.tex"]
    done = subprocess.run(command, cwd=odd_folders, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_the_command_names_odd_folders_without_obeying_them(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", make_spec(), ERRORS)
    (tmp_path / "runs" / "\x1b[31mred [bold]x[bold]").mkdir()
    done = CliRunner().invoke(app, ["report", str(tmp_path / "runs"), "--format", "md", "--out", str(tmp_path / "o")])
    assert done.exit_code == 0, done.output
    assert "\x1b" not in done.output
    assert "\\x1b[31mred [bold]x[bold]: not a run folder" in done.output


@pytest.mark.parametrize("encode", [latex, markdown, terminal, picture, csv_cell, file_name], ids=lambda f: f.__name__)
@pytest.mark.parametrize("text", PAYLOADS.values(), ids=PAYLOADS)
def test_nothing_invisible_survives(encode: Any, text: str) -> None:
    assert str(encode(text)).isprintable()


def test_bytes_that_are_not_utf8_are_written(tmp_path: Path) -> None:
    made = make_run(tmp_path / "runs", make_spec(), ERRORS)
    odd = tmp_path / "runs" / "caf\udce9"
    made.folder.path.rename(odd)
    produce(make_report(collect([tmp_path / "runs"])), tmp_path, list(Format))
    assert "caf%E9" in (tmp_path / "report.md").read_text(encoding="utf-8")
