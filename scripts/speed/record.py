"""The dated record: writing, look-up, comparison."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stbench.schema.folder import write_text

WORSE = 0.1


@dataclass(frozen=True)
class Ratio:
    """One number of the record; ``lower``: less is better; ``target``: the bound to meet."""

    value: float
    target: float | None
    lower: bool
    detail: dict[str, Any]

    @property
    def met(self) -> bool | None:
        """True if the target is met; None without one."""
        if self.target is None:
            return None
        return self.value <= self.target if self.lower else self.value >= self.target

    def worsened(self, before: float) -> bool:
        """Return whether it is more than a tenth worse than an earlier value."""
        return self.value > before * (1 + WORSE) if self.lower else self.value < before * (1 - WORSE)


def last_record(folder: Path, environment: Mapping[str, Any], choices: Mapping[str, Any]) -> dict[str, float]:
    """Return the last value of every ratio in valid records of the same hardware, threads and options."""
    found: dict[str, float] = {}
    for path in sorted(folder.glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        same = all(record["environment"][key] == environment[key] for key in ("device", "threads"))
        if same and "superseded" not in record and record["choices"] == choices:
            print(f"Compared with {path}.")
            found |= {name: ratio["value"] for name, ratio in record["ratios"].items()}
    return found


def show(ratios: Mapping[str, Ratio], earlier: Mapping[str, float]) -> list[str]:
    """Print every ratio with its target and last value; return those that got worse."""
    worse = []
    for name, ratio in ratios.items():
        bound = "" if ratio.target is None else f"{'≤' if ratio.lower else '≥'} {ratio.target:g}"
        verdict = {True: "met", False: "MISSED", None: ""}[ratio.met]
        before = earlier.get(name)
        last = "" if before is None else f"last {before:.3f}"
        if before is not None and ratio.worsened(before):
            worse.append(name)
            last += " WORSE"
        print(f"{name:<64} {ratio.value:8.3f}  {bound:<7} {verdict:<7} {last}".rstrip())
    return worse


def write(folder: Path, record: Mapping[str, Any], ratios: Mapping[str, Ratio]) -> Path:
    """Write the dated record; ``record`` contains at least the ``environment``."""
    environment = record["environment"]
    words = "".join(c if c.isalnum() else "-" for c in f"{environment['device']}-t{environment['threads']}").lower()
    path = folder / f"{time.strftime('%Y-%m-%dT%H%M%SZ', time.gmtime())}-{words}.json"
    rows = {
        name: {"value": r.value, "target": r.target, "met": r.met, "lower_is_better": r.lower, **r.detail}
        for name, r in ratios.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({**record, "ratios": rows}, indent=2) + "\n")
    return path
