"""Efficiency profile of several methods: counts, memory, speed, stages, growth, energy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from stbench.efficiency.energy import measure_energy
from stbench.efficiency.growth import fit_exponent, horizons, resolutions
from stbench.efficiency.macs import TRAINING_FACTOR, count_macs, total_macs
from stbench.efficiency.memory import measure_memory
from stbench.efficiency.parameters import count_parameters
from stbench.efficiency.peak import peak_flops, probes
from stbench.efficiency.records import Axis, Cost, Energy, Growth, Memory, Mode, Speed, Spread, Stages
from stbench.efficiency.running import Runner
from stbench.efficiency.sampling import Clock, DeviceClock, interleave
from stbench.efficiency.stages import has_stages, split_time
from stbench.efficiency.subject import build
from stbench.schema import ClipShape, RunSpec
from stbench.train.engine import DeviceName, Engine

STAGE_REPEATS = 5


@dataclass(frozen=True)
class Settings:
    """What to measure.

    ``budget``: seconds per measurement after warm-up (at least one repeat). ``training``: also measure optimiser steps.
    ``growth``: also measure how the cost of predictions grows. ``memory_batch``: None means the method's training
    batch.
    """

    device: DeviceName = "cpu"
    batch_sizes: tuple[int, ...] = (1, 4, 16)
    precisions: tuple[str, ...] = ("32",)
    training: bool = False
    compiled: bool = False
    memory: bool = True
    growth: bool = True
    memory_batch: int | None = None
    budget: float = 2.0

    @property
    def inference_batches(self) -> tuple[int, ...]:
        """Batch sizes of predictions; always include 1, for the latency."""
        return tuple(sorted({1, *self.batch_sizes}))


def profile(specs: Sequence[RunSpec], settings: Settings, say: Callable[[str], None]) -> tuple[Cost, ...]:
    """Measure every method; ``say`` is called with a line about each measurement.

    Raises:
        UserError: the device does not exist.
    """
    return _Profiler(specs, settings, say).run()


class _Profiler:
    def __init__(self, specs: Sequence[RunSpec], settings: Settings, say: Callable[[str], None]) -> None:
        self.specs = {spec.method: spec for spec in specs}
        self.settings = settings
        self.say = say
        self.engines = {p: Engine(settings.device, p) for p in settings.precisions}
        self.device = next(iter(self.engines.values())).device
        self.clock: Clock = DeviceClock(self.device)
        self.costs: dict[str, Cost] = {}

    def run(self) -> tuple[Cost, ...]:
        for name, spec in self.specs.items():
            self.say(f"counting {name}")
            self.costs[name] = Cost(
                method=name,
                plugin=spec.plugin,
                encoder=spec.encoder,
                shape=spec.shape,
                parameters=count_parameters(spec),
                macs=count_macs(spec),
            )
        for precision, engine in self.engines.items():
            self._measure_speed(precision, engine)
        if self.settings.growth:
            self._measure_growth()
        if self.settings.memory:
            for name, spec in self.specs.items():
                self._add(name, memories=self._memories(spec))
        return tuple(self.costs.values())

    def _add(self, name: str, **found: Any) -> None:
        self.costs[name] = self.costs[name].model_copy(update=found)

    def _measure_speed(self, precision: str, engine: Engine) -> None:
        runners = {n: Runner(s, engine, compiled=self.settings.compiled) for n, s in self.specs.items()}
        peak = self._peak(precision)
        modes: list[tuple[Mode, int]] = [("inference", batch) for batch in self.settings.inference_batches]
        if self.settings.training:
            modes += [("training", batch) for batch in self.settings.batch_sizes]
        for mode, batch in modes:
            self.say(f"timing {mode}, batch {batch}, precision {precision}")
            able = {n: r for n, r in runners.items() if mode == "inference" or r.spec.training is not None}
            works = {name: runner.work(mode, batch) for name, runner in able.items()}
            times = interleave(works, self.clock, self.settings.budget)
            for name, taken in times.items():
                speed = self._speed(name, taken, peak, mode, precision, batch)
                self._add(name, speeds=(*self.costs[name].speeds, speed))
        if precision == self.settings.precisions[0]:
            for name, runner in runners.items():
                self._add(name, stages=self._stages(runner), energy=self._energy(name, runner, precision))

    def _peak(self, precision: str) -> float:
        """Return the FLOP/s of the fastest probe; all probes share one budget."""
        self.say(f"timing the device's peak, precision {precision}")
        work = probes(self.device, precision)
        times = interleave({probe.name: probe.run for probe in work}, self.clock, self.settings.budget / len(work))
        return peak_flops(work, {name: taken for name, taken in times.items() if isinstance(taken, Spread)})

    def _speed(self, name: str, taken: Spread | str, peak: float, mode: Mode, precision: str, batch: int) -> Speed:
        if isinstance(taken, str):
            return Speed(mode=mode, precision=precision, batch=batch, seconds=None, failure=taken)
        cost = self.costs[name]
        flops = cost.macs.flops * batch * (TRAINING_FACTOR if mode == "training" else 1)
        return Speed(
            mode=mode,
            precision=precision,
            batch=batch,
            seconds=taken,
            sequences_per_second=batch / taken.p50,
            frames_per_second=batch * cost.shape.t_out / taken.p50,
            peak_flops=peak,
            share_of_peak=flops / taken.p50 / peak,
        )

    def _stages(self, runner: Runner) -> Stages | None:
        if self.settings.compiled or not has_stages(runner.method):
            return None
        return split_time(runner.method, runner.work("inference", 1), self.clock, STAGE_REPEATS)

    def _energy(self, name: str, runner: Runner, precision: str) -> Energy:
        done = [s for s in self.costs[name].speeds if (s.mode, s.precision) == ("inference", precision) and s.seconds]
        if not done or done[-1].seconds is None:
            return Energy(reason="no prediction ran")
        batch = done[-1].batch
        return measure_energy(
            runner.work("inference", batch), device=self.device, batch=batch, seconds=done[-1].seconds.p50
        )

    def _measure_growth(self) -> None:
        axes: dict[Axis, Callable[[RunSpec], dict[float, ClipShape]]] = {"horizon": horizons, "pixels": resolutions}
        for axis, shapes_of in axes.items():
            self.say(f"timing growth with {axis}")
            shapes = {(n, f): shape for n, spec in self.specs.items() for f, shape in shapes_of(spec).items()}
            engine = self.engines[self.settings.precisions[0]]
            works = {
                key: Runner(self.specs[key[0]], engine, shape=shape).work("inference", 1)
                for key, shape in shapes.items()
            }
            times = interleave(works, self.clock, self.settings.budget / len(horizons(next(iter(self.specs.values())))))
            for name, spec in self.specs.items():
                seconds = {f: t.p50 for (n, f), t in times.items() if n == name and isinstance(t, Spread)}
                macs = {
                    f: float(total_macs(partial(build, spec, shape))) for (n, f), shape in shapes.items() if n == name
                }
                self._grown(name, axis, seconds, macs)
        for name, cost in self.costs.items():
            batches = {
                float(s.batch): s.seconds.p50
                for s in cost.speeds
                if s.seconds and (s.mode, s.precision) == ("inference", self.settings.precisions[0])
            }
            self._grown(name, "batch", batches, {batch: batch * float(cost.macs.total) for batch in batches})

    def _grown(self, name: str, axis: Axis, seconds: dict[float, float], macs: dict[float, float]) -> None:
        growth = Growth(
            axis=axis,
            time_exponent=fit_exponent(seconds),
            macs_exponent=fit_exponent(macs),
            points=tuple(seconds.items()),
        )
        self._add(name, growths=(*self.costs[name].growths, growth))

    def _memories(self, spec: RunSpec) -> tuple[Memory, ...]:
        modes: list[Mode] = ["inference"] if spec.training is None else ["inference", "training"]
        fallback = spec.training.batch_size if spec.training is not None else max(self.settings.batch_sizes)
        found = []
        for precision in self.settings.precisions:
            for mode in modes:
                self.say(f"memory of {spec.method}, {mode}, precision {precision}")
                batch = self.settings.memory_batch or fallback
                found.append(measure_memory(spec, mode=mode, precision=precision, batch=batch, device=self.device))
        return tuple(found)
