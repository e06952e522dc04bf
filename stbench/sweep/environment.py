"""Environment of a run: hardware, library versions, git state."""

from __future__ import annotations

import hashlib
import inspect
import platform
import subprocess
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any

import torch

import stbench
from stbench.data.benchmarks.lookup import BENCHMARKS
from stbench.data.dataset import DATASETS
from stbench.nn import METHODS
from stbench.registry import Registry
from stbench.schema import RunSpec

_LIBRARIES = ("torch", "numpy", "lightning-fabric", "scikit-image")


def describe_environment(device: torch.device, spec: RunSpec | None = None) -> dict[str, Any]:
    """Return a JSON-able record of hardware, versions and git state and, for a run, the packages of its plugins."""
    return {
        "stbench": stbench.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": {name: version(name) for name in _LIBRARIES},
        **({} if spec is None else {"plugins": plugin_packages(spec)}),
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "git": git_state(Path(stbench.__file__).parent),
    }


def plugin_packages(spec: RunSpec) -> dict[str, str]:
    """Return package and version of a run's method, dataset reader and benchmark; none for one from a file."""
    registries: list[tuple[Registry[Any], str]] = [
        (METHODS, spec.plugin),
        (DATASETS, spec.dataset.reader),
        (BENCHMARKS, spec.benchmark),
    ]
    found = {}
    for registry, name in registries:
        for entry in entry_points(group=registry.group, name=name):
            if entry.dist is not None:
                found[f"{registry.kind} {name}"] = f"{entry.dist.name} {entry.dist.version}"
    return found


def source_hash(plugin: type) -> str:
    """Return the hash of the file that defines a class; empty if there is none."""
    try:
        text = inspect.getsource(inspect.getmodule(plugin) or plugin)
    except (OSError, TypeError):
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
