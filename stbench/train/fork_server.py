"""The fork server: a process without threads, whose forks begin with their imports done."""

from __future__ import annotations

import multiprocessing
import signal
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerContext

_INTERRUPT = {signal.SIGINT}


def start_fork_server(*modules: str) -> ForkServerContext:
    """Start it, unless it runs already, and return the context of its forks, which is safe with torch and CUDA.

    Ctrl-C does not reach it: while it imports, it would write a traceback beside the message of this process. Its forks
    hear none either, until they call :func:`hear_interrupts`.

    Args:
        modules: what it imports, while this process goes on.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(modules))
    resource_tracker.ensure_running()  # starting it would unblock signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPT)  # what it starts inherits this
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


def hear_interrupts() -> None:
    """Let Ctrl-C reach this process, a fork."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPT)
