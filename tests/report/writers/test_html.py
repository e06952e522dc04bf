"""The page: self-contained, small, and working in a real browser."""

import re
from pathlib import Path

import numpy as np
import pytest

from stbench.report.analysis.section import make_report
from stbench.report.collect.records import collect
from stbench.report.writers.html import to_html
from stbench.schema import ClipShape, Failure
from tests.report.browser import CHROMIUM, drive
from tests.report.runs import METRICS, T_OUT, make_run, make_spec, noisy, write_samples

EVIL = "</script><img src=x onerror=alert(1)>"
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
TICK = "const wait = (ms) => new Promise((done) => setTimeout(done, ms)); await wait(200);"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("page")
    rng = np.random.default_rng(0)
    for method, mean in (("mid", 2.0), ("low", 1.0), ("high", 3.0)):
        for seed in range(2):
            costs = {"seconds_per_epoch": mean, "train_seconds": 60 * mean, "macs": int(mean * 2e8)}
            record = make_run(root / "runs", make_spec(method, seed), noisy(rng, mean), **costs)
            write_samples(record.folder)
    still = make_run(root / "runs", make_spec("still", training=None), noisy(rng, 4.0), seconds_per_epoch=None)
    write_samples(still.folder)
    make_run(root / "runs", make_spec("broken"), failure=Failure(kind="crashed", reason=EVIL))
    path = root / "report.html"
    path.write_text(to_html(make_report(collect([root / "runs"]), count_parameters=False), root), encoding="utf-8")
    return path


def test_nothing_is_fetched_and_nothing_escapes(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    addresses = set(re.findall(r'(?:src|href)="([^"]*)"', text))
    assert all(a.startswith(("#", "data:", "runs/")) for a in addresses)
    assert "default-src 'none'" in text
    assert "<img" not in text
    assert text.count("</script>") == 2


def test_provenance_of_every_run_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for run in (page.parent / "runs").iterdir():
        assert f'href="runs/{run.name}/"' in text
    assert "<td>4</td><td>--set</td>" in text
    assert "<td>toy protocol paper</td>" in text
    assert "c0ffee" in text
    assert "f" * 8 in text
    assert "test CPU" in text


def test_ten_methods_on_three_seeds_stay_below_five_megabytes(tmp_path: Path) -> None:
    """64 × 64 frames of noise, ten in and ten out: what compresses worst."""
    rng = np.random.default_rng(0)
    shape = ClipShape(t_in=10, t_out=10, channels=1, height=64, width=64)
    past, future = (rng.random((4, 10, 1, 64, 64), dtype=np.float32) for _ in range(2))
    for number in range(10):
        for seed in range(3):
            record = make_run(tmp_path, make_spec(f"m{number}", seed, shape=shape), noisy(rng, 1 + number, leads=10))
            noise = rng.random(future.shape, dtype=np.float32)
            arrays = {"index": np.arange(4), "past": past, "future": future, "prediction": noise}
            np.savez(record.folder.file("samples.npz"), **arrays)
    text = to_html(make_report(collect([tmp_path]), count_parameters=False), tmp_path)
    assert "data:image/png" in text
    assert len(text.encode()) < 5_000_000


@in_browser
def test_page_loads_and_sorts(page: Path, tmp_path: Path) -> None:
    steps = (
        TICK
        + """
      const order = () => [...document.querySelectorAll('.scores tbody tr')].map((row) => row.dataset.label);
      const head = document.querySelector('.scores th[data-key="mse_frame"]');
      head.querySelector('button').click();
      const up = order(), state = head.getAttribute('aria-sort');
      head.querySelector('button').click();
      return {up, state, down: order(), again: head.getAttribute('aria-sort')};
    """
    )
    seen, console = drive(page, steps, tmp_path)
    assert seen == {
        "up": ["low", "mid", "high", "still", "broken"],
        "state": "ascending",
        "down": ["still", "high", "mid", "low", "broken"],
        "again": "descending",
    }
    assert console == []


@in_browser
def test_costs_are_seconds_or_multiply_adds_and_no_label_covers_another(page: Path, tmp_path: Path) -> None:
    steps = (
        TICK
        + """
      const chart = document.querySelector('[data-chart="cost"]'), choice = document.querySelector('[data-cost]');
      const labels = () => [...chart.querySelectorAll('text.halo')].map((text) => text.getBoundingClientRect());
      const clash = (all) => all.some((a, i) => all.some((b, j) => i < j && a.left < b.right && b.left < a.right
        && a.top < b.bottom - 3 && b.top < a.bottom - 3));
      const title = () => chart.querySelector('svg').getAttribute('aria-label');
      const seen = [[title(), labels().length, clash(labels())]];
      choice.value = 'macs'; choice.dispatchEvent(new Event('input'));
      seen.push([title(), labels().length, clash(labels())]);
      const head = [...document.querySelectorAll('.scores thead th')].map((cell) => cell.textContent);
      return {seen, costs: head.slice(-5)};
    """
    )
    seen, console = drive(page, steps, tmp_path)
    assert seen["seen"] == [
        ["mse_frame against training seconds per epoch", 4, False],
        ["mse_frame against MACs per predicted clip", 4, False],
    ]
    assert seen["costs"] == ["n", "params", "MACs", "s/epoch", "training"]
    assert console == []


@in_browser
def test_filter_hides_rows_lines_and_tiles(page: Path, tmp_path: Path) -> None:
    steps = (
        TICK
        + """
      const shown = (what) => [...document.querySelectorAll(what)].filter((one) => !one.hidden);
      const search = document.querySelector('[data-filter]');
      const count = () => ({
        rows: shown('.scores tbody tr').length,
        lines: document.querySelectorAll('[data-chart="lead"] polyline').length,
        bubbles: document.querySelectorAll('[data-chart="cost"] g').length,
        tiles: shown('.tile').map((tile) => tile.textContent),
      });
      const all = count();
      search.value = 'LO'; search.dispatchEvent(new Event('input'));
      const one = count();
      search.value = ''; search.dispatchEvent(new Event('input'));
      const box = [...document.querySelectorAll('.filter [type=checkbox]')]
        .find((box) => box.parentElement.textContent.trim() === 'still');
      box.click();
      const rest = count();
      document.querySelector('[data-skill]').click();
      return {all, one, rest, status: document.querySelector('[data-count]').textContent};
    """
    )
    seen, console = drive(page, steps, tmp_path)
    assert seen["all"] == {"rows": 5, "lines": 4, "bubbles": 4, "tiles": ["truth", "high", "low", "mid", "still"]}
    assert seen["one"] == {"rows": 1, "lines": 1, "bubbles": 1, "tiles": ["truth", "low"]}
    assert seen["rest"] == {"rows": 4, "lines": 3, "bubbles": 3, "tiles": ["truth", "high", "low", "mid"]}
    assert seen["status"] == "4 of 5 shown"
    assert console == []


@in_browser
def test_player_steps_and_plays_every_source_together(page: Path, tmp_path: Path) -> None:
    steps = (
        TICK
        + """
      const time = () => document.querySelector('[data-time]').textContent;
      const labels = () => [...document.querySelectorAll('.tile canvas')].map((c) => c.getAttribute('aria-label'));
      const sums = () => [...document.querySelectorAll('.tile canvas')].map((canvas) => canvas.toDataURL());
      const start = time(), past = sums();
      document.querySelector('[data-step="-1"]').click();
      const last = time(), future = sums(), names = labels();
      document.querySelector('[data-play]').click();
      await wait(400 * 2);
      const playing = time(), word = document.querySelector('[data-play]').textContent;
      document.querySelector('[data-play]').click();
      const stopped = time();
      await wait(800);
      const range = document.querySelector('[data-frame]');
      range.value = 2; range.dispatchEvent(new Event('input'));
      return {start, past, last, future, names, playing, word, stopped, still: time(), max: range.max};
    """
    )
    seen, console = drive(page, steps, tmp_path)
    assert seen["start"] == "input, t = -1"
    assert len(set(seen["past"])) == 1  # every tile shows the input
    assert seen["last"] == f"prediction, t = {T_OUT}"
    assert seen["future"][0] != seen["future"][1]
    assert seen["names"][0] == f"truth, prediction, t = {T_OUT}"
    assert seen["word"] == "Pause"
    assert seen["playing"] == seen["stopped"] == "input, t = 0"  # two frames on, round the end
    assert seen["still"] == "prediction, t = 1"
    assert seen["max"] == str(2 + T_OUT - 1)
    assert console == []


@in_browser
def test_keyboard_and_screen_reader_find_everything(page: Path, tmp_path: Path) -> None:
    steps = (
        TICK
        + """
      const said = (one) => (one.labels?.[0] || one).textContent.trim();
      const named = (one) => one.getAttribute('aria-label') || said(one);
      const controls = [...document.querySelectorAll('button, input, select, summary')];
      const heads = [...document.querySelectorAll('h1, h2, h3, h4')].map((head) => Number(head.tagName[1]));
      return {
        nameless: controls.filter((one) => !named(one)).map((one) => one.outerHTML),
        unreachable: controls.filter((one) => one.tabIndex < 0).map((one) => one.outerHTML),
        scopeless: document.querySelectorAll('th:not([scope])').length,
        jumps: heads.filter((level, i) => i && level > heads[i - 1] + 1).length,
        doubles: [...document.querySelectorAll('[id]')].map((one) => one.id)
          .filter((id, i, all) => all.indexOf(id) !== i),
        charts: [...document.querySelectorAll('svg[role=img]')].map((svg) => svg.getAttribute('aria-label')),
        lang: document.documentElement.lang,
      };
    """
    )
    seen, _ = drive(page, steps, tmp_path)
    assert seen["nameless"] == []
    assert seen["unreachable"] == []
    assert seen["scopeless"] == 0
    assert seen["jumps"] == 0
    assert seen["doubles"] == []
    assert seen["charts"] == [f"{METRICS[0]} by lead time", f"{METRICS[0]} against training seconds per epoch"]
    assert seen["lang"] == "en"


CONTRAST = """
  const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = (css) => { const [r, g, b] = css.match(/[\\d.]+/g).map(Number);
    return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b); };
  const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const page = light(getComputedStyle(document.body).backgroundColor);
  return {
    theme: document.documentElement.dataset.theme,
    text: Math.min(...[...document.querySelectorAll('td, th, p, li, summary, label')]
      .map((one) => ratio(light(getComputedStyle(one).color), page))),
    lines: Math.min(...[...document.querySelectorAll('[data-chart="lead"] g')]
      .map((one) => ratio(light(getComputedStyle(one).color), page))),
  };
"""


@in_browser
def test_both_themes_have_contrast(page: Path, tmp_path: Path) -> None:
    """WCAG 2.1: 4.5 for text, 3 for what carries meaning in a figure."""
    light, _ = drive(page, TICK + CONTRAST, tmp_path)
    dark, _ = drive(page, TICK + "document.getElementById('theme').click();" + CONTRAST, tmp_path)
    assert {light["theme"], dark["theme"]} == {"light", "dark"}
    for seen in (light, dark):
        assert seen["text"] >= 4.5
        assert seen["lines"] >= 3
