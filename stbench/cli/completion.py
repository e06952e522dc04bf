"""Completion of plugin names in a shell; loads no plugin."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points


def complete(kind: str) -> Callable[[str], list[str]]:
    """Return a completion of the names of a kind of plugin (``methods``, ``benchmarks`` …), also after commas.

    >>> "tau" in complete("methods")("ta"), "convlstm,tau" in complete("methods")("convlstm,ta")
    (True, True)
    """

    def names(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        known = sorted({entry.name for entry in entry_points(group=f"stbench.{kind}")})
        return [f"{before}{comma}{name}" for name in known if name.startswith(last)]

    return names
