"""Time of one call by kind of work, from torch.profiler."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

KINDS: tuple[tuple[str, str], ...] = (
    ("convolutions", r"conv|thnn|slow_conv"),
    ("norms", r"norm|batch_norm"),
    ("matrix products", r"::(mm|bmm|addmm|addbmm|baddbmm|matmul|linear|mkldnn_linear|einsum)"),
    ("copies", r"copy|clone|contiguous|cat|to_mkldnn|reorder|::pad|constant_pad|::stack|index|repeat|::to$"),
    ("allocator", r"empty|resize|::zeros|zero_|new_zeros|set_|release_unused|malloc"),
    ("elementwise", r"."),
)
"""Kind -> parts of the names of its operators; the first match counts."""
OPTIMISER = "optimiser"
REST = "Python, heap trimming, waiting"
SHOWN = ("convolutions", "matrix products", "norms", "elementwise", "copies", "allocator", OPTIMISER, REST)


def where_time_goes(work: Callable[[], object], device: torch.device) -> dict[str, float]:
    """Measure the milliseconds of one call by kind of work.

    Operators are counted by their self time, on CUDA by the time of their kernels. All work inside an optimiser counts
    as the optimiser's.
    """
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=activities) as recorded:
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        wall = 1e3 * (time.perf_counter() - started)
    found = dict.fromkeys(SHOWN, 0.0)
    for event in recorded.events():
        if event.device_type == torch.autograd.DeviceType.CPU:
            own = event.self_device_time_total if device.type == "cuda" else event.self_cpu_time_total
            found[kind_of(event)] += own / 1e3
    found[REST] = max(0.0, wall - sum(found.values()))
    return found


def kind_of(event: Any) -> str:
    """Return the kind of work of an operator."""
    above = event
    while above is not None:
        if above.name.startswith("Optimizer."):
            return OPTIMISER
        above = above.cpu_parent
    if not event.name.startswith(("aten::", "mkldnn", "stbench::")) and "Backward" not in event.name:
        return REST
    return next(kind for kind, pattern in KINDS if re.search(pattern, event.name))


def table(columns: Mapping[str, Mapping[str, float]]) -> str:
    """Format milliseconds and shares as a Markdown table, one column per side."""
    lines = ["| kind of work | " + " | ".join(columns) + " |", "| --- |" + " ---: |" * len(columns)]
    for kind in (*SHOWN, "sum"):
        cells = []
        for found in columns.values():
            whole = sum(found.values())
            spent = whole if kind == "sum" else found[kind]
            cells.append(f"{spent:.1f} ms ({spent / whole:.0%})")
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
