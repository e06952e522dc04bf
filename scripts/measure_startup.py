"""Seconds that each executor adds to one baseline run done locally: start-up, hand-over and collection.

    PYTHONPATH=. python scripts/measure_startup.py [--rounds 3]

Rounds alternate the executors, so that the machine's phases meet all of them; medians of the differences are printed.
A SLURM cluster is started where its daemons are installed (:mod:`tests.support.slurm`), and a Ray cluster to join.
Measure on an idle machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec

from stbench.sweep.executors.ray import SETTINGS
from stbench.sweep.executors.ray_cluster import LocalCluster
from tests.support import slurm

RUN = ("-m", "stbench", "run", "--methods", "persistence", "--dataset", "moving_digits", "--protocol", "quick")
REST_SECONDS = 4
"""Between commands: what one leaves behind (a job of SLURM that is tidied up, a Ray cluster that ends) takes cores."""


def seconds(options: tuple[str, ...], env: Mapping[str, str]) -> float:
    """Return the wall time of the command, in a new output folder."""
    time.sleep(REST_SECONDS)
    with tempfile.TemporaryDirectory() as out:
        begun = time.perf_counter()
        subprocess.run([sys.executable, *RUN, "--out", out, *options], env={**os.environ, **env}, check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
        return time.perf_counter() - begun


@contextmanager
def ray_cluster() -> Iterator[str]:
    """Yield the address of a cluster."""
    cluster = LocalCluster(SETTINGS | {"RAY_AUTH_MODE": "token"})
    try:
        yield cluster.address()
    finally:
        cluster.end()


def measured(rounds: int) -> Iterator[dict[str, float]]:
    """Yield the seconds of ``local`` and what the others add, round by round."""
    with ExitStack() as stack:
        ways: dict[str, tuple[tuple[str, ...], Mapping[str, str]]] = {"processes": (("--executor", "processes"), {})}
        if not slurm.missing() and find_spec("submitit"):
            ways["slurm"] = (("--executor", "slurm"), stack.enter_context(slurm.cluster()))
        if find_spec("ray"):
            ways["ray, starting a cluster"] = (("--executor", "ray"), {})
        seconds((), {})  # files are read once
        for _ in range(rounds):
            local = seconds((), {})
            found = {"local": local} | {name: seconds(options, env) - local for name, (options, env) in ways.items()}
            if find_spec("ray"):  # not beside the others: its processes take their share of the cores
                with ray_cluster() as address:
                    join = ("--executor", "ray", "--executor-set", f"address={address}")
                    found["ray, joining one"] = seconds(join, {}) - local
            yield found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = []
    for one in measured(parser.parse_args().rounds):
        rounds.append(one)
        print({name: round(value, 1) for name, value in one.items()}, flush=True)
    print("medians:", {name: round(statistics.median(one[name] for one in rounds), 1) for name in rounds[0]})


if __name__ == "__main__":
    main()
