"""docs/own_data.md: its Python runs, and its commands print the lines it shows."""

import contextlib
import re
import sys
from pathlib import Path

import pytest

from stbench.cli import main

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "own_data.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
STEP = re.compile(r"```python\n(?P<code>.*?)```|^ {4}stbench (?P<command>.*?)$|```text\n(?P<lines>.*?)```", re.S | re.M)
EXTRAS = {"NetCDF": ("xarray", "cftime"), "Video": ("imageio_ffmpeg",)}


@pytest.mark.parametrize("title", [title for title, text in SECTIONS.items() if "    stbench " in text])
def test_commands_print_what_the_page_shows(
    title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for module in EXTRAS.get(title, ()):
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STBENCH_CACHE", str(tmp_path / "cache"))
    printed = ""
    for step in STEP.finditer(SECTIONS[title]):
        if step["code"]:
            exec(compile(step["code"], "own_data.md", "exec"), {})
        elif step["command"]:
            monkeypatch.setattr(sys, "argv", ["stbench", *step["command"].split()])
            with contextlib.suppress(SystemExit):
                main()
            printed = "".join(capfd.readouterr()).replace(f"{tmp_path}/", "")
        else:
            assert [line for line in step["lines"].splitlines() if line not in printed.splitlines()] == [], printed


def test_the_page_shows_each_format() -> None:
    shown = " ".join(re.findall(r"^ {4}stbench data check (\S+)", PAGE, re.MULTILINE))
    assert all(suffix in shown for suffix in (".npy", ".npz", ".h5", ".nc"))
    assert all(title in PAGE for title in ("GeoTIFF", "Video", "Yearly files", "Pairs X and Y"))
