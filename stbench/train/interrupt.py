"""Ctrl-C and SIGTERM as a polite request: finish the step, save, leave; a second one leaves at once."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether somebody asked the run to stop."""

    def __init__(self) -> None:
        self.requested = False

    def leave(self, agree: Callable[[bool], bool] = bool) -> None:
        """Raise ``KeyboardInterrupt`` when a stop was requested; called where everything is saved.

        Args:
            agree: turns this process's wish into that of all (:meth:`stbench.train.engine.Engine.any`).
        """
        if agree(self.requested):
            raise KeyboardInterrupt

    def _handle(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002 - signal's signature
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        print("Stopping at the next safe point; once more stops at once.", file=sys.stderr)


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn SIGINT and SIGTERM into a :class:`StopRequest` while the block runs (in the main thread only)."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request._handle) for number in _SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
