"""What was understood of recordings, as text for the data report and ``stbench data``. Axes: T time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stbench.data.formats import Recording
from stbench.data.formats.recording import Seconds
from stbench.data.formats.steps import goes_on, step_text, usual_step
from stbench.data.formats.timestamps import date_text
from stbench.data.frame_cache.resize import FrameSize, adapted

MOST_TEXTS = 3
MISSING = "missing values"
BLIND = "gaps cannot be seen"


def understood(recordings: Sequence[Recording], size: FrameSize, filled: str = "") -> tuple[tuple[str, str], ...]:
    """Return what was understood of files: axes, times, missing values, units, level and changes of size.

    Args:
        recordings: what was opened.
        size: what frames are brought to.
        filled: what was done about missing values, once the files are decoded.
    """
    names = list(dict.fromkeys(name for recording in recordings for name in recording.facts if name != "times"))
    changed = adapted([recording.frame for recording in recordings], size).removeprefix("; ")
    return (
        *((name, _distinct(_texts(name, recordings)) + filled * (name == MISSING)) for name in names),
        ("times", times_said(recordings)),
        ("size", changed or f"frames stay {size.height}×{size.width}"),
    )


def _texts(name: str, recordings: Sequence[Recording]) -> list[str]:
    return [recording.facts.get(name, "") for recording in recordings]


def times_said(recordings: Sequence[Recording]) -> str:
    """Say which times were found, with their step and gaps; or why none were understood."""
    dated = [(recording, recording.seconds) for recording in recordings if recording.seconds is not None]
    reasons = [
        recording.facts.get("times", "the files hold none") for recording in recordings if recording.seconds is None
    ]
    if not dated:
        return f"no times understood ({_distinct(reasons)}): {BLIND}"
    first = min(dated, key=lambda pair: float(pair[1][0]))
    last = max(dated, key=lambda pair: float(pair[1][-1]))
    calendar = first[0].calendar
    frames = sum(len(seconds) for _, seconds in dated)
    span = f"{date_text(first[1][0], calendar)} to {date_text(last[1][-1], last[0].calendar)}"
    kind = "" if calendar == "standard" else f" (calendar {calendar})"
    rest = f"; {len(reasons)} recordings hold none ({_distinct(reasons)}): {BLIND} there" if reasons else ""
    return f"times found: {frames}, {span}{kind}, {_steps([seconds for _, seconds in dated])}{rest}"


def _steps(series: Sequence[Seconds]) -> str:
    long = [seconds for seconds in series if len(seconds) > 1]
    if not long:
        return "one frame each, no step"
    steps = [usual_step(np.diff(seconds)) for seconds in long]
    gaps = sum(int((~goes_on(np.diff(seconds), step)).sum()) for seconds, step in zip(long, steps, strict=True))
    texts = list(dict.fromkeys(step_text(step) for step in steps))
    return f"step {' or '.join(texts[:MOST_TEXTS])}, {gaps or 'no'} gap{'s' * (gaps != 1)}"


def _distinct(texts: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(text for text in texts if text))
    more = f" and {len(distinct) - MOST_TEXTS} more" if len(distinct) > MOST_TEXTS else ""
    return "; ".join(distinct[:MOST_TEXTS]) + more
