"""A Ray cluster of this machine, in the hands of a process of its own.

A cluster takes seconds to start, and a command must still import and plan: both happen at once. The cluster ends with
the command, however that ends, because the pipe between them closes.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from stbench.errors import first_line
from stbench.lazy import collect_seldom

STORE_BYTES = 100 << 20
"""Memory set aside for objects; specs and outcomes are kilobytes."""
PATIENCE = {
    "RAY_raylet_client_connect_timeout_milliseconds": "20",
    "RAY_raylet_client_num_connect_attempts": "500",
}
"""Environment of its processes, where the user has set none of this.

Ray's daemon often looks for its own store before that is there. It looks again after 20 ms instead of a second, for ten
seconds in all as by default.
"""
ADDRESS, REASON = "address ", "reason "
"""What begins the line that the process says: where the cluster is, or why there is none."""


class LocalCluster:
    """Start a cluster.

    Args:
        settings: environment of its processes where the user has set nothing else.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        # it imports what this process does, without this module's package (pydantic) and the working folder ('-P')
        code = f"import sys; sys.path[:] = {sys.path!r}; import runpy; runpy.run_path({__file__!r}, None, '__main__')"
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**({} if PATIENCE.keys() & os.environ.keys() else PATIENCE), **settings, **os.environ},
            start_new_session=True,  # Ctrl-C is for the command, which lets its runs save
            text=True,
        )

    def address(self) -> str:
        """Return HOST:PORT, once it is there.

        Raises:
            RuntimeError: it cannot start.
        """
        said = "" if self._process.stdout is None else self._process.stdout.readline().strip()
        if not said.startswith(ADDRESS):
            raise RuntimeError(said.removeprefix(REASON) or "a cluster of this machine did not start")
        return said.removeprefix(ADDRESS)

    def end(self) -> None:
        """Let it end by itself, which takes a second or two."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        threading.Thread(target=self._process.wait, daemon=True).start()  # its exit code is taken, if anyone is there


def serve() -> None:
    """Hold a cluster until the pipe from the command closes."""
    collect_seldom()
    answer = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Ray's processes inherit this one
    ray: Any = import_module("ray")  # its types hold only where it is installed
    if select.select([sys.stdin], [], [], 0)[0]:  # nothing is ever sent: the command has ended
        return
    try:
        ray.init(
            address="local",  # not one that RAY_ADDRESS or this machine knows
            object_store_memory=STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
        said = ADDRESS + ray.get_runtime_context().gcs_address
    except Exception as error:  # Ray's errors have no base class; the command says this one
        said = REASON + first_line(error)
    try:
        print(said, file=answer, flush=True)
        sys.stdin.read()
    except BrokenPipeError:  # the command has ended
        pass
    finally:
        ray.shutdown()


if __name__ == "__main__":
    serve()
