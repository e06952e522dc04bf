"""What a profile finds, in plain units (seconds, bytes, joules, multiply-adds); a missing value says why."""

from __future__ import annotations

from typing import Any, Literal

from stbench.efficiency.macs import MacCount
from stbench.efficiency.parameters import ParameterCount
from stbench.efficiency.sampling import Spread
from stbench.schema import ClipShape, Record

Mode = Literal["inference", "training"]
Axis = Literal["horizon", "pixels", "batch"]


class Speed(Record):
    """Repeated predictions, or optimiser steps, on one batch size.

    ``seconds`` is None where ``failure`` says why. ``peak_flops`` is the device's measured peak in FLOP/s: the fastest
    of several matrix products and convolutions in this precision (:mod:`stbench.efficiency.peak`). ``share_of_peak``
    is what the method's FLOPs (published convention; thrice the forward's for a training step) reach of it.
    ``gemm_flops`` stands in older records for a peak of square matrix products alone.
    """

    mode: Mode
    precision: str
    batch: int
    seconds: Spread | None
    failure: str | None = None
    sequences_per_second: float | None = None
    frames_per_second: float | None = None
    peak_flops: float | None = None
    gemm_flops: float | None = None
    share_of_peak: float | None = None


class Memory(Record):
    """Peak memory of a prediction, or of an optimiser step with the moments in place, in a fresh process.

    On a CPU ``peak`` is the process's resident set (libraries included), on CUDA what the allocator handed out.
    ``before`` is the same with the method built and nothing run; ``activations`` the difference.
    ``start_up`` is the time from the process's start until the method is ready, ``first`` that of its first call, on
    one clip.
    """

    mode: Mode
    precision: str
    batch: int
    peak: int | None = None
    before: int | None = None
    start_up: float | None = None
    first: float | None = None
    failure: str | None = None

    @property
    def activations(self) -> int | None:
        """Bytes that running the method adds to holding it."""
        return None if self.peak is None or self.before is None else self.peak - self.before


class Stages(Record):
    """Where the time of a prediction at batch 1 goes, as shares; the temporal module is what the others leave."""

    encoder: float
    temporal: float
    decoder: float


class Growth(Record):
    """How cost grows along one axis: fitted exponents of seconds and of multiply-adds, and the points behind them.

    An exponent of 1 is proportional growth. ``points`` are (factor, seconds).
    """

    axis: Axis
    time_exponent: float | None
    macs_exponent: float | None
    points: tuple[tuple[float, float], ...]


class Energy(Record):
    """Joules per predicted sequence by the device's counter; ``reason`` where there is none."""

    joules_per_sequence: float | None = None
    batch: int | None = None
    reason: str | None = None


class Cost(Record):
    """Everything measured of one method on one benchmark."""

    method: str
    plugin: str
    encoder: str
    shape: ClipShape
    parameters: ParameterCount
    macs: MacCount
    speeds: tuple[Speed, ...] = ()
    memories: tuple[Memory, ...] = ()
    stages: Stages | None = None
    growths: tuple[Growth, ...] = ()
    energy: Energy = Energy(reason="not asked for")

    def speed(self, mode: Mode, precision: str, batch: int) -> Speed | None:
        """One cell of the speed table."""
        keys = mode, precision, batch
        return next((s for s in self.speeds if (s.mode, s.precision, s.batch) == keys), None)


class Profile(Record):
    """Costs of several methods, and what they were measured on."""

    benchmark: str
    version: int
    protocol: str
    environment: dict[str, Any]
    compiled: bool
    costs: tuple[Cost, ...]

    @property
    def key(self) -> str:
        """Hardware, torch version and threads as a file name's part."""
        environment = self.environment
        words = f"{environment['device']}-torch{environment['libraries']['torch']}-t{environment['threads']}"
        kept = "".join(c if c.isalnum() or c in ".-" else "-" for c in words)
        return "-".join(part for part in kept.lower().split("-") if part)
