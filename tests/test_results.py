"""The committed results: every link resolves, and every bundle verifies."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from stbench.report.bundle.manifest import NAME
from stbench.report.bundle.verify import verify

RESULTS = Path(__file__).resolve().parents[1] / "results"
BUNDLES = sorted(path.parent for path in RESULTS.rglob(NAME))
PAGES = sorted(path for ending in ("*.md", "*.html", "*.tex") for path in RESULTS.rglob(ending))
LINKS = {
    ".md": r"\]\(([^)]+)\)",
    ".html": r'(?:href|src)="([^"]+)"',
    ".tex": r"\\(?:stbenchrun|includegraphics|input)\{([^}#]+)\}",
}


def links_of(page: Path) -> set[str]:
    found = re.findall(LINKS[page.suffix], page.read_text(encoding="utf-8"))
    plain = [re.sub(r"\\([_&%$#])", r"\1", link) if page.suffix == ".tex" else link for link in found]
    return {link for link in plain if "://" not in link}


def test_there_are_results() -> None:
    assert BUNDLES
    assert sum(len(links_of(page)) for page in PAGES) > 50


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(RESULTS).as_posix())
def test_every_link_resolves(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    anchors = set(re.findall(r'\bid="([^"]+)"', text))
    for link in links_of(page):
        path, _, anchor = link.partition("#")
        if link.startswith("data:"):
            continue
        target = page.parent / unquote(path)
        found = (target.exists() or target.with_suffix(".tex").exists()) if path else anchor in anchors
        assert found, f"{page} links to {link}"


@pytest.mark.slow
@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.relative_to(RESULTS).as_posix())
def test_every_bundle_verifies(bundle: Path) -> None:
    assert verify(bundle).problems == ()
