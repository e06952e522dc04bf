"""Name and tags of an experiment, written into its run folders; they are no part of a run's id."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from stbench.errors import UserError
from stbench.events import Outcome, RunListener, SweepListener
from stbench.schema import RunResult, RunSpec
from stbench.schema.folder import RunFolder


class Labeller(SweepListener):
    """Label each run of a sweep as it starts, and each one that was found done.

    Args:
        root: folder of the run folders.
        name: of the experiment; may be empty.
        tags: may be empty.
    """

    def __init__(self, root: Path, name: str, tags: Sequence[str]) -> None:
        self.root = root
        self.name = name
        self.tags = tuple(tags)

    def run_listener(self, spec: RunSpec, number: int, runs: int) -> RunListener:  # noqa: ARG002 - the event's signature
        """Label a run that starts."""
        self._label(spec)
        return RunListener()

    def run_done(self, spec: RunSpec, outcome: Outcome, result: RunResult | None, note: str = "") -> None:  # noqa: ARG002
        """Label a run that was found done."""
        if outcome == "already done":
            self._label(spec)

    def _label(self, spec: RunSpec) -> None:
        folder = RunFolder(self.root / spec.folder)
        with suppress(OSError, UserError):  # a label is not worth a run; --redo may have moved its folder
            folder.add_labels(self.name, self.tags)
