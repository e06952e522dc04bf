"""A Ray cluster of this machine, in the hands of a process of its own (``python -m`` this module).

A cluster takes seconds to start, and a command must still import and plan: both happen at once. The cluster ends with
the command, however that ends, because the pipe between them closes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from stbench.errors import first_line

STORE_BYTES = 100 << 20
"""Memory set aside for objects; specs and outcomes are kilobytes."""
ADDRESS, REASON = "address ", "reason "
"""What begins the line that the process says: where the cluster is, or why there is none."""


class LocalCluster:
    """Start a cluster.

    Args:
        settings: environment of its processes where the user has set nothing else.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**settings, **os.environ},
            start_new_session=True,  # Ctrl-C is for the command, which lets its runs save
            text=True,
        )

    def address(self) -> str:
        """Return HOST:PORT, once it is there.

        Raises:
            RuntimeError: it cannot start.
        """
        said = ""
        for line in self._process.stdout or ():
            if line.startswith(ADDRESS):
                return line.removeprefix(ADDRESS).strip()
            said = line.removeprefix(REASON).strip()
        raise RuntimeError(said or "a cluster of this machine did not start")

    def end(self) -> None:
        """Let it end by itself, which takes a second or two."""
        if self._process.stdin is not None:
            self._process.stdin.close()


def _serve() -> None:
    """Hold a cluster until the pipe from the command closes."""
    ray: Any = import_module("ray")  # its types hold only where it is installed
    try:
        ray.init(
            address="local",  # not one that RAY_ADDRESS or this machine knows
            object_store_memory=STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
    except Exception as error:  # Ray's errors have no base class; the command says this one
        print(REASON + first_line(error), flush=True)
        return
    print(ADDRESS + ray.get_runtime_context().gcs_address, flush=True)
    sys.stdin.read()
    ray.shutdown()


if __name__ == "__main__":
    _serve()
