"""Two "nodes" on this machine: two loopback addresses, or two network namespaces joined by a cable."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.ports import free_port

LINK = "10.77.{number}"
"""Addresses of the two ends of a cable."""


@contextlib.contextmanager
def loopback() -> Iterator[list[tuple[list[str], str]]]:
    """For every node, what a command begins with, and its address."""
    yield [([], "127.0.0.1"), ([], "127.0.0.2")]


@contextlib.contextmanager
def namespaces() -> Iterator[list[tuple[list[str], str]]]:
    """The same, where a process sees no interface of the machine but its end of the cable and a loopback."""
    names = [f"stbench{os.getpid()}{side}" for side in "ab"]
    net = LINK.format(number=os.getpid() % 250)
    try:
        for name in names:
            _ip("netns", "add", name)
        _ip("link", "add", "end0", "netns", names[0], "type", "veth", "peer", "name", "end1", "netns", names[1])
        for number, name in enumerate(names):
            _ip("-n", name, "addr", "add", f"{net}.{number + 1}/24", "dev", f"end{number}")
            for link in ("lo", f"end{number}"):
                _ip("-n", name, "link", "set", link, "up")
        yield [(["ip", "netns", "exec", name], f"{net}.{number + 1}") for number, name in enumerate(names)]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def no_namespaces() -> str:
    """Why there can be none here; empty if there can."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        return "network namespaces need root and the program ip"
    name = f"stbench{os.getpid()}try"
    made = subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True, text=True)
    subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
    return f"no network namespaces here: {made.stderr.strip()}" if made.returncode else ""


def torchrun(
    places: list[tuple[list[str], str]], arguments: list[str], logs: Path, *, processes: int = 1
) -> list[subprocess.Popen[bytes]]:
    """Start a command with torchrun on every node; its output goes to ``logs/out0``, ``logs/err0`` …"""
    port = free_port()
    started = []
    for number, (prefix, address) in enumerate(places):
        command = [
            *(*prefix, sys.executable, "-m", "torch.distributed.run", f"--nnodes={len(places)}"),
            *(f"--node-rank={number}", f"--nproc-per-node={processes}", f"--master-addr={places[0][1]}"),
            *(f"--master-port={port}", f"--local-addr={address}", "-m", "stbench", *arguments),
        ]
        logs.mkdir(parents=True, exist_ok=True)
        with (logs / f"out{number}").open("w") as out, (logs / f"err{number}").open("w") as err:
            started.append(subprocess.Popen(command, stdout=out, stderr=err, env=os.environ | {"OMP_NUM_THREADS": "1"}))
    return started


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
