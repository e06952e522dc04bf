"""A SLURM cluster of this one machine, from the packages slurm-wlm and munge, while a block runs."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ports import free_port

PROGRAMS = ("slurmctld", "slurmd", "munged", "mungekey", "sbatch", "squeue", "scontrol")
START_SECONDS = 60
CONFIGURATION = """
ClusterName=stbench
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldPort={controller}
SlurmdPort={daemon}
SlurmdSpoolDir={folder}/spool
SlurmUser=root
StateSaveLocation={folder}/state
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
KillWait=5
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0
MinJobAge=10
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


class ClusterError(Exception):
    """This machine's fault, not the executor's."""


def missing() -> str:
    """Why no cluster can be started here; empty if it can."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"no {', '.join(absent)} here (packages slurm-wlm and munge)"
    return "" if os.geteuid() == 0 else "starting a SLURM controller needs root"


@contextlib.contextmanager
def cluster() -> Iterator[dict[str, str]]:
    """Start the daemons, yield the environment in which commands reach them, and stop them.

    Nothing of the machine's own SLURM or munge is used, and no socket that a stopped daemon left behind.

    Raises:
        ClusterError: the cluster does not answer within a minute.
    """
    with tempfile.TemporaryDirectory(prefix="slurm-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        for part in ("state", "spool"):
            (folder / part).mkdir()
        file = folder / "slurm.conf"
        settings = {
            "host": socket.gethostname().partition(".")[0],
            "folder": folder,
            "controller": free_port(),
            "daemon": free_port(),
            "cpus": len(os.sched_getaffinity(0)),
        }
        file.write_text(CONFIGURATION.format(**settings))
        env = {"SLURM_CONF": str(file)}
        stack.enter_context(_daemon(_munge(folder / "munge"), {}))
        stack.enter_context(_daemon(["slurmctld", "-D"], env))
        stack.enter_context(_daemon(["slurmd", "-D"], env))
        _wait_for_idle(env, folder)
        yield env


def _munge(folder: Path) -> list[str]:
    """The command of a munge daemon with a key and a socket in ``folder``."""
    folder.mkdir(mode=0o711)
    key = folder / "key"
    subprocess.run(["mungekey", "--create", f"--keyfile={key}"], check=True, capture_output=True)
    files = {"key-file": key, "socket": folder / "socket"} | {
        f"{name}-file": folder / name for name in ("pid", "log", "seed")
    }
    return ["munged", "--foreground", "--force", *(f"--{option}={file}" for option, file in files.items())]


def cluster_or_skip() -> Iterator[dict[str, str]]:
    """A cluster for the tests of a module, whose processes have one thread; skip where this machine can start none."""
    if missing():
        pytest.skip(missing())
    with contextlib.ExitStack() as running:
        try:
            found = running.enter_context(cluster())
        except ClusterError as error:
            pytest.skip(str(error))
        yield found | {"OMP_NUM_THREADS": "1"}


@contextlib.contextmanager
def _daemon(command: list[str], env: dict[str, str]) -> Iterator[None]:
    started = subprocess.Popen(command, env=os.environ | env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        started.terminate()
        try:
            started.wait(15)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def _wait_for_idle(env: dict[str, str], folder: Path) -> None:
    end = time.monotonic() + START_SECONDS
    said = ""
    while time.monotonic() < end:
        with contextlib.suppress(subprocess.TimeoutExpired):
            found = subprocess.run(
                ["sinfo", "--noheader", "--format=%T"],
                env=os.environ | env, capture_output=True, text=True, check=False, timeout=10,
            )  # fmt: skip
            if "idle" in found.stdout:
                return
            said = found.stderr
        time.sleep(0.5)
    logs = "\n".join(path.read_text()[-1500:] for path in folder.glob("*.log"))
    raise ClusterError(f"the cluster does not start: {said}\n{logs}")
