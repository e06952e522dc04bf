"""Records of a profile, in seconds, bytes, joules and multiply-adds; a missing value has a reason."""

from __future__ import annotations

from typing import Any, Literal

from stbench.schema import ClipShape, Record

Mode = Literal["inference", "training"]
Axis = Literal["horizon", "pixels", "batch"]
ATTENTION = "scaled_dot_product_attention"
"""Name of fused attention among the operators of a count."""


class Spread(Record):
    """Order statistics of repeated timings, in seconds (percentiles by linear interpolation)."""

    p50: float
    p95: float
    iqr: float
    best: float
    samples: int


class ParameterCount(Record):
    """Numbers of trainable values, counting every tensor once.

    ``live``: get a gradient from the training loss. ``dead``: get none (``dead_names``). ``shared``: live tensors that
    the module tree holds under several names (``shared_names``, the first of each).
    """

    live: int
    dead: int
    shared: int
    dead_names: tuple[str, ...] = ()
    shared_names: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """Number of all parameters."""
        return self.live + self.dead


class MacCount(Record):
    """Multiply-adds of one clip's prediction.

    ``executed``: counted by fvcore in the forward pass. ``idle``: what the published convention counts in addition, or
    leaves out if negative (:meth:`stbench.nn.Method.idle_macs`). ``one_pass``: count of a single pass if the horizon
    needs several. ``modules``: ``executed`` by part of the method. ``uncounted``: calls of operators not counted.
    ``torch_counter``: ``executed`` as counted by torch.
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
        """Multiply-adds by the published convention."""
        return self.executed + self.idle

    @property
    def attention(self) -> int:
        """Multiply-adds of fused attention kernels in ``executed``, which plain fvcore counts as 0."""
        return self.operators.get(ATTENTION, 0)

    @property
    def flops(self) -> int:
        """Floating-point operations, two per multiply-add."""
        return 2 * self.total


class Speed(Record):
    """Speed of repeated predictions, or optimiser steps, at one batch size.

    ``seconds``: None if the measurement failed, with the reason in ``failure``. ``peak_flops``: the device's measured
    peak in FLOP/s in this precision (:mod:`stbench.efficiency.peak`). ``share_of_peak``: the method's FLOP/s relative
    to it, with FLOPs by the published convention, times three for a training step. ``gemm_flops``: in older records, a
    peak of square matrix products alone.
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
    """Peak memory of a prediction, or of an optimiser step with allocated moments, in a fresh process.

    ``peak``: on a CPU the process's resident set with libraries, on CUDA the memory given out by the allocator.
    ``before``: the same after the method is built. ``activations``: the difference. ``start_up``: time from the start
    of the process until the method is ready. ``first``: time of its first call, on one clip.
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
        """Bytes that running the method needs in addition to the method itself."""
        return None if self.peak is None or self.before is None else self.peak - self.before


class StepCost(Record):
    """Seconds and peak memory (bytes) of one optimiser step, or why it cannot be done.

    ``peak`` is None if the step was too slow to be done whole; ``seconds`` then follow from one clip.
    """

    seconds: float | None = None
    peak: int | None = None
    failure: str | None = None


class Stages(Record):
    """Shares of the time of a prediction at batch 1; the temporal module is the rest."""

    encoder: float
    temporal: float
    decoder: float


class Growth(Record):
    """Growth of cost along one axis: fitted exponents of seconds and of multiply-adds, and the measured points.

    An exponent of 1 is proportional growth. ``points`` are (factor, seconds).
    """

    axis: Axis
    time_exponent: float | None
    macs_exponent: float | None
    points: tuple[tuple[float, float], ...]


class Energy(Record):
    """Joules per predicted sequence from the device's counter, or the ``reason`` why they are missing."""

    joules_per_sequence: float | None = None
    batch: int | None = None
    reason: str | None = None


class Cost(Record):
    """All measurements of one method on one benchmark."""

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
        """Return one cell of the speed table."""
        keys = mode, precision, batch
        return next((s for s in self.speeds if (s.mode, s.precision, s.batch) == keys), None)


class Profile(Record):
    """Costs of several methods, and the machine on which they were measured."""

    benchmark: str
    version: int
    protocol: str
    environment: dict[str, Any]
    compiled: bool
    costs: tuple[Cost, ...]

    @property
    def key(self) -> str:
        """Hardware, torch version and threads, for use in file names."""
        environment = self.environment
        words = f"{environment['device']}-torch{environment['libraries']['torch']}-t{environment['threads']}"
        kept = "".join(c if c.isalnum() or c in ".-" else "-" for c in words)
        return "-".join(part for part in kept.lower().split("-") if part)
