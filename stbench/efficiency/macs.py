"""Multiply-adds (MACs) of one prediction over the whole horizon, batch 1; FLOPs are twice that.

The convention is that of fvcore in training mode, as in published tables. It counts all products of convolutions and
matrices, 5 per element of an affine normalisation (4 without weights) and 1 per pooled element. Activations, gates and
additions do not count. In addition, the two products of fused attention count, Q·Kᵀ and weights·V, as they do in
methods that write them out (:mod:`stbench.efficiency.prices`).
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial

import torch
from torch import Tensor, nn

from stbench.efficiency.prices import fvcore_prices, torch_prices
from stbench.efficiency.records import MacCount
from stbench.efficiency.subject import build, by_shape, random_clip
from stbench.nn import METHODS, Method, ParallelForecaster
from stbench.schema import ClipShape, Record, RunSpec

TRAINING_FACTOR = 3
"""Cost of a training step in forward passes: one, and about two for the gradients of inputs and weights."""


def count_macs(spec: RunSpec) -> MacCount:
    """Count one prediction of a run's method."""
    method = build(spec)
    analysed = analyse(method, _past(method, random_clip(spec.shape, 1)))
    short = spec.shape.model_copy(update={"t_out": spec.shape.t_in})
    repeats = isinstance(method, ParallelForecaster) and spec.shape.t_out > spec.shape.t_in
    return MacCount(
        executed=analysed.total,
        idle=method.idle_macs(),
        one_pass=total_macs(lambda: build(spec, short)) if repeats else None,
        modules=analysed.modules,
        operators=analysed.operators,
        uncounted=analysed.uncounted,
        torch_counter=by_shape(lambda: build(spec), lambda method, clip: operator_macs(method, _past(method, clip))),
    )


class Analysis(Record):
    """fvcore's count of one forward pass."""

    total: int
    modules: dict[str, int]
    operators: dict[str, int]
    uncounted: dict[str, int]


def analyse(module: nn.Module, *inputs: Tensor) -> Analysis:
    """Trace a module with fvcore; needs a device with real values."""
    with _quiet(), torch.no_grad():
        from fvcore.nn import FlopCountAnalysis

        counted = FlopCountAnalysis(module, inputs).tracer_warnings("none")
        counted.set_op_handle(**fvcore_prices())
        counted.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        by_module: Mapping[str, float] = counted.by_module()
        return Analysis(
            total=int(counted.total()),
            modules={name: count for name, part in module.named_children() if (count := _part(name, part, by_module))},
            operators={name: int(count) for name, count in counted.by_operator().items()},
            uncounted={name.removeprefix("aten::"): int(n) for name, n in counted.unsupported_ops().items()},
        )


def total_macs(make: Callable[[], Method]) -> int:
    """Count the multiply-adds of the method that ``make`` builds by the published convention, without running it."""
    return by_shape(make, lambda method, clip: operator_macs(method, _past(method, clip)) + method.idle_macs())


def macs_of(spec: RunSpec) -> int | None:
    """Count the multiply-adds of predicting one clip, once per configuration; None if they cannot be counted."""
    return _macs(spec.plugin, spec.method, json.dumps(spec.config), spec.shape.model_dump_json())


@cache
def _macs(plugin: str, method: str, config: str, shape: str) -> int | None:
    kind = METHODS.get(plugin)
    try:
        return total_macs(partial(kind.create, ClipShape.model_validate_json(shape), json.loads(config), method))
    except Exception:  # a plugin may raise anything, and no run needs the count
        return None


def training_step_macs(make: Callable[[], Method], batch: int) -> int:
    """Count the multiply-adds of one optimiser step on ``batch`` clips."""
    return TRAINING_FACTOR * total_macs(make) * batch


def operator_macs(module: nn.Module, *inputs: Tensor) -> int:
    """Count the multiply-adds of a forward pass with torch's counter and the prices that it lacks."""
    from torch.utils.flop_counter import FlopCounterMode  # imports triton: 80 MB

    with FlopCounterMode(display=False, custom_mapping=torch_prices()) as counter:
        module(*inputs)
    return int(counter.get_total_flops()) // 2


def _past(method: Method, clip: Tensor) -> Tensor:
    return clip[:, : method.shape.t_in]


def _part(path: str, module: nn.Module, counts: Mapping[str, float]) -> int:
    """Return the count of a part; for a container that is never called, the sum of its parts."""
    own = int(counts.get(path, 0))
    return own or sum(_part(f"{path}.{name}", child, counts) for name, child in module.named_children())


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence warnings of fvcore and torch's tracer; the record holds what they report."""
    log = logging.getLogger("fvcore")
    before = log.level
    log.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    log.setLevel(before)
