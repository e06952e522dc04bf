"""The command in a fork of a process that has imported it: its own process, without seconds of imports each time."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import lightning_fabric  # noqa: F401 - what the commands import when they need it
import torch._dynamo
import torch.optim  # noqa: F401

import stbench.cli.display
import stbench.report.produce
import stbench.sweep.executors.local  # noqa: F401
from stbench.cli import main

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__])


def run(arguments: list[str], env: dict[str, str], timeout: float) -> subprocess.CompletedProcess[str]:
    """Run ``stbench ARGUMENTS`` to the end, in this working folder; ``arguments[0]`` is the command's path.

    The environment counts but for what is read before the first import (PYTHONPATH, OMP_NUM_THREADS).

    Raises:
        subprocess.TimeoutExpired: it took longer than ``timeout`` seconds and was killed.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("stdout", "stderr")]
        process = _CONTEXT.Process(target=_in_fork, args=(arguments, env, str(Path.cwd()), files))
        process.start()
        process.join(timeout)
        if process.is_alive():
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(arguments, timeout)
        out, err = (file.read_text(encoding="utf-8", errors="replace") for file in files)
    return subprocess.CompletedProcess(arguments, process.exitcode or 0, out, err)


def _in_fork(arguments: list[str], env: dict[str, str], folder: str, files: list[Path]) -> None:
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    for number, file in enumerate(files, 1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - lives as long as the process
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, errors="backslashreplace")  # noqa: SIM115
    sys.argv = arguments
    main()
