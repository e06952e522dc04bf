"""Multiply-adds of one prediction over the whole horizon, batch 1; one multiply-add counts 1, FLOPs are twice that.

The convention is fvcore's in training mode, which published tables use: every product of convolutions and matrices,
5 per element of an affine normalisation (4 of one without weights), 1 per element that is pooled; activations, gates
and additions are free. Beyond fvcore (:mod:`stbench.efficiency.prices`), the two products of a fused attention count,
Q·Kᵀ and weights·V, as they do where a method writes them out.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from stbench.efficiency.prices import ATTENTION, fvcore_prices, torch_prices
from stbench.efficiency.subject import build, by_shape, random_clip
from stbench.nn import Method, ParallelForecaster
from stbench.schema import Record, RunSpec

TRAINING_FACTOR = 3
"""A training step costs its forward pass and about twice that for the gradients of inputs and weights."""


class MacCount(Record):
    """Multiply-adds of one clip's prediction.

    ``executed`` is what fvcore sees this forward do; ``idle`` what the published convention counts besides, or, below
    zero, leaves out (:meth:`stbench.nn.Method.idle_macs`). ``one_pass`` is the count of a single pass where the horizon
    needs several. ``modules`` split ``executed`` by the method's parts; ``uncounted`` are calls of operators that
    have no price; ``torch_counter`` is ``executed`` by torch's own counter.
    """

    executed: int
    idle: int
    one_pass: int | None
    modules: dict[str, int]
    operators: dict[str, int]
    uncounted: dict[str, int]
    torch_counter: int

    @property
    def total(self) -> int:
        """By the published convention."""
        return self.executed + self.idle

    @property
    def attention(self) -> int:
        """Share of ``executed`` in fused attention kernels, which fvcore alone counts as 0."""
        return self.operators.get(ATTENTION, 0)

    @property
    def flops(self) -> int:
        """Floating-point operations, two per multiply-add."""
        return 2 * self.total


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
    """What fvcore sees of one forward pass."""

    total: int
    modules: dict[str, int]
    operators: dict[str, int]
    uncounted: dict[str, int]


def analyse(module: nn.Module, *inputs: Tensor) -> Analysis:
    """Trace a module with fvcore (on a device with real numbers)."""
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
    """The published convention's count of the method that ``make`` builds, without computing anything."""
    return by_shape(make, lambda method, clip: operator_macs(method, _past(method, clip)) + method.idle_macs())


def training_step_macs(make: Callable[[], Method], batch: int) -> int:
    """Multiply-adds of one optimiser step on ``batch`` clips."""
    return TRAINING_FACTOR * total_macs(make) * batch


def operator_macs(module: nn.Module, *inputs: Tensor) -> int:
    """Multiply-adds of a forward pass by torch's operator counter, with the prices that it lacks."""
    from torch.utils.flop_counter import FlopCounterMode  # brings triton along: 80 MB

    with FlopCounterMode(display=False, custom_mapping=torch_prices()) as counter:
        module(*inputs)
    return int(counter.get_total_flops()) // 2


def _past(method: Method, clip: Tensor) -> Tensor:
    return clip[:, : method.shape.t_in]


def _part(path: str, module: nn.Module, counts: Mapping[str, float]) -> int:
    """Count of a part; a container that is never called itself has the sum of its own parts."""
    own = int(counts.get(path, 0))
    return own or sum(_part(f"{path}.{name}", child, counts) for name, child in module.named_children())


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep fvcore's notes on operators and torch's on tracing off the screen; what they say is in the record."""
    log = logging.getLogger("fvcore")
    before = log.level
    log.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    log.setLevel(before)
