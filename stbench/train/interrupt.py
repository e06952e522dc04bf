"""Handling of Ctrl-C, SIGTERM and a scheduler's signals.

The first finishes the step, saves and stops; a second one stops at once.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Request to stop a run; ``signum`` is the signal that asked for it."""

    def __init__(self) -> None:
        self.requested = False
        self.signum: int | None = None

    def leave(self, agree: Callable[[bool], bool] = bool) -> None:
        """Raise ``KeyboardInterrupt`` if a stop was requested; call it where everything is saved.

        Args:
            agree: combines the flags of all processes (:meth:`stbench.train.engine.Engine.any`).
        """
        if agree(self.requested):
            raise KeyboardInterrupt

    def _handle(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002 - signal's signature
        if self.requested:
            raise KeyboardInterrupt
        self.requested, self.signum = True, signum
        with suppress(OSError, ValueError):  # whoever reads the error stream ("2>&1 | tee") may be gone already
            print("Stopping at the next safe point. Press Ctrl-C again to stop at once.", file=sys.stderr, flush=True)


@contextmanager
def stop_on_signals(*more: signal.Signals) -> Iterator[StopRequest]:
    """Turn SIGINT, SIGTERM and ``more`` into a :class:`StopRequest` within a block (in the main thread only)."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request._handle) for number in (*_SIGNALS, *more)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
