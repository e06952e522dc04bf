"""Energy of predictions, from NVIDIA's on-board counter (NVML); pynvml is optional and imported on use."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch

from stbench.efficiency.records import Energy

SECONDS = 2.0
"""Length of a measurement, much longer than the counter's steps of 20 ms to 100 ms."""


def measure_energy(predict: Callable[[], object], *, device: torch.device, batch: int, seconds: float) -> Energy:
    """Measure joules per sequence over :data:`SECONDS` of predictions; ``seconds`` is the time of one.

    The counter covers the whole device, including idle power and the work of other users.
    """
    if device.type != "cuda":
        return Energy(reason="this device has no energy counter")
    try:
        counter = _counter(device)
        repeats = max(1, round(SECONDS / seconds))
        torch.cuda.synchronize(device)
        before = counter()
        for _ in range(repeats):
            predict()
        torch.cuda.synchronize(device)
        return Energy(joules_per_sequence=(counter() - before) / (repeats * batch), batch=batch)
    except ImportError:
        return Energy(reason="nvidia-ml-py is not installed: pip install nvidia-ml-py")
    except Exception as error:  # NVML's own errors: no permission, no counter on this model
        return Energy(reason=f"the counter cannot be read ({error})")


def _counter(device: torch.device) -> Callable[[], float]:
    """Return a function that reads the joules since the driver was loaded."""
    nvml: Any = importlib.import_module("pynvml")
    nvml.nvmlInit()
    handle = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
    return lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000.0
