"""A page driven in headless Chromium: a script is added to a copy of it, and writes what it saw into the title."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--enable-logging=stderr", "--virtual-time-budget=8000"),
]


def drive(page: Path, steps: str, folder: Path, *flags: str) -> tuple[Any, list[str]]:
    """Run JavaScript (the body of an async function) in the page; its value, and the console's lines."""
    assert CHROMIUM is not None
    script = (
        "<script>(async () => { let seen; try { seen = await (async () => {" + steps + "})(); }"
        " catch (error) { seen = {failed: String(error)}; }"
        " document.documentElement.setAttribute('data-seen', encodeURIComponent(JSON.stringify(seen))); })();</script>"
    )
    copy = folder / "driven.html"
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", script + "</body>"), encoding="utf-8")
    done = subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", *flags, "--dump-dom", copy.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    found = re.search(r'data-seen="([^"]*)"', done.stdout)
    assert found, done.stderr[-2000:]
    from urllib.parse import unquote

    return json.loads(unquote(found.group(1))), [line for line in done.stderr.splitlines() if "CONSOLE" in line]
