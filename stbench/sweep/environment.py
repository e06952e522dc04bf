"""Environment of a run: hardware, library versions, git state."""

from __future__ import annotations

import hashlib
import inspect
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any

import torch

import stbench
from stbench.data.benchmarks.lookup import BENCHMARKS
from stbench.data.dataset import DATASETS
from stbench.events import LOGGERS
from stbench.metrics import METRICS
from stbench.nn import METHODS
from stbench.registry import Registry
from stbench.schema import OPTIMIZERS, SCHEDULES, RunSpec
from stbench.sweep.executors import EXECUTORS

_LIBRARIES = ("torch", "numpy", "lightning-fabric", "scikit-image")


def describe_environment(
    device: torch.device, spec: RunSpec | None = None, helpers: Mapping[str, Sequence[str]] | None = None
) -> dict[str, Any]:
    """A JSON-able record of hardware, versions and git state; of a run also the packages its plugins come from.

    Args:
        spec: of the run.
        helpers: names of the ``logger`` and ``executor`` plugins that took part, by kind.
    """
    return {
        "stbench": stbench.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": {name: version(name) for name in _LIBRARIES},
        **({} if spec is None else {"plugins": plugin_packages(spec, helpers or {})}),
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "git": git_state(Path(stbench.__file__).parent),
    }


def plugin_packages(spec: RunSpec, helpers: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Package and version that declare each plugin of a run, by kind and name; none for one read off a file."""
    training = spec.training
    used: list[tuple[Registry[Any], Sequence[str]]] = [
        (METHODS, [spec.plugin]),
        (DATASETS, [spec.dataset.reader]),
        (BENCHMARKS, [spec.benchmark]),
        (OPTIMIZERS, [] if training is None else [training.optimizer.kind]),
        (SCHEDULES, [] if training is None else [training.schedule.kind]),
        (METRICS, spec.evaluation.listed),
        (LOGGERS, helpers.get("logger", ())),
        (EXECUTORS, helpers.get("executor", ())),
    ]
    registries = [(registry, name) for registry, names in used for name in names]
    installed = entry_points()  # once: it reads a file of every package
    found = {}
    for registry, name in registries:
        for entry in installed.select(group=registry.group, name=name):
            if entry.dist is not None:
                found[f"{registry.kind} {name}"] = f"{entry.dist.name} {entry.dist.version}"
    return found


def source_hash(plugin: type) -> str:
    """Return the hash of the file that defines a class, or of all files of its package; empty if there is none."""
    module = inspect.getmodule(plugin)
    try:
        if module is not None and hasattr(module, "__path__") and module.__file__ is not None:
            folder = Path(module.__file__).parent
            files = sorted(folder.rglob("*.py"))
            text = "".join(f"{file.relative_to(folder).as_posix()}\n{file.read_text()}" for file in files)
        else:
            text = inspect.getsource(module or plugin)
    except (OSError, TypeError, ValueError):
        return ""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def device_name(device: torch.device | str) -> str:
    """Return the name of the CPU or GPU."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return cpu_name()


def cpu_name() -> str:
    """Return the model name of the CPU, from Linux or else from Python."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def git_state(folder: Path) -> dict[str, Any]:
    """Return the commit and whether tracked files differ from it; empty outside a checkout of this project."""
    try:
        if Path(_git(folder, "rev-parse", "--show-toplevel")) != folder.parent:
            return {}
        commit = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"commit": commit, "modified": bool(changed)}


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(  # fixed program and arguments
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.strip()
