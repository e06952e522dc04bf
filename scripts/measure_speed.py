"""Speed of stbench relative to plain PyTorch; detects regressions.

Run from the repository root on a machine that does nothing else:

    python scripts/measure_speed.py [--threads 2] [--rounds 3] [--budget 6] [--device cuda --one-process]
    python scripts/measure_speed.py --methods all --benchmarks taxibj --sides eager,stbench

Each method of --methods is compared with its eager reference (``tests/support/eager``: plain modules, channels first,
the framework's defaults) at the published sizes of taxibj (batch 16) and mmnist (batch 4). Measured are a prediction
and a training step in float32, for stbench also in bf16, and the peak memory of a training step. The sides alternate,
each time in a fresh process, so that slow moments of the machine and the heap of one side do not affect the other. A
ratio is the median of the eager reference divided by that of stbench.

The record also has shares of the device's peak (the fastest of several matrix products and convolutions, and of the
methods; none for ``fast``, which needs fewer multiplications than are counted). The script prints the time of each side
by kind of work, from torch.profiler. ``fast`` is stbench with the training setting ``fast_conv``. At the end it
measures metrics, checkpoints and start-up.

It writes ``<date>-<hardware>.json`` to --out and prints the last record of the same hardware and options beside it. A
ratio that is worse by more than a tenth is marked, and the exit code is then 1. --tiny tests the script with the small
models of the ``quick`` protocol; its record is marked and not compared.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from speed import overheads
from speed.breakdown import table
from speed.record import Ratio, last_record, show, write
from speed.task import Answer, Side, Task, measure_in_a_process
from speed.worker import MODES, measure, spec_of, with_reference

from stbench.efficiency.macs import TRAINING_FACTOR, total_macs
from stbench.efficiency.records import Mode
from stbench.efficiency.sampling import summarise
from stbench.efficiency.subject import build
from stbench.sweep.environment import describe_environment

METHODS = ("tau", "phydnet", "convlstm", "predrnn")
BATCHES = {"taxibj": 16, "mmnist": 4}
TARGETS: dict[tuple[str, str], tuple[float, float]] = {
    ("taxibj", "tau"): (2.8, 2.2),
    ("taxibj", "phydnet"): (1.5, 1.4),
    ("taxibj", "convlstm"): (2.0, 2.0),
    ("taxibj", "predrnn"): (2.0, 2.0),
    ("mmnist", "tau"): (2.2, 1.6),
    ("mmnist", "phydnet"): (1.4, 1.3),
    ("mmnist", "convlstm"): (1.8, 1.8),
    ("mmnist", "predrnn"): (1.8, 1.8),
}
"""Minimum ratios of ``fast`` over the eager reference in float32 on two CPU cores, as (inference, training)."""
OTHER_TARGETS = {"taxibj": 1.3}
"""Minimum ratios of ``stbench`` over the eager reference for all other methods."""
MEMORY_TARGET = 1.0


def main() -> int:
    """Measure, print, write, compare."""
    options = _options()
    if options.worker:
        print(measure(Task.model_validate_json(sys.stdin.read())).model_dump_json())
        return 0
    torch.set_num_threads(options.threads)
    environment = describe_environment(torch.device(options.device))
    choices = {key: getattr(options, key) for key in ("one_process", "compile", "tiny")}
    ratios: dict[str, Ratio] = {}
    where: dict[str, Any] = {}
    for benchmark in options.benchmarks:
        comparison = Comparison(benchmark, options)
        ratios |= comparison.run()
        where |= comparison.where
    if not options.no_overheads:
        ratios["start-up of stbench list"] = overheads.start_up()
    worse = show(ratios, {} if options.tiny else last_record(options.out, environment, choices))
    for title, columns in where.items():
        print(f"\n{title}: one call\n\n{table(columns)}")
    record = {"environment": environment, "choices": choices, "where": where}
    print(f"\nWritten: {write(options.out, record, ratios)}")
    return 1 if worse else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--tiny", action="store_true", help="small models: a check of the script")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--methods", type=with_reference, default=METHODS, help='names, or "all": every method with an eager reference'
    )
    parser.add_argument("--benchmarks", type=lambda text: tuple(text.split(",")), default=tuple(BATCHES))
    parser.add_argument(
        "--sides", type=lambda text: tuple(text.split(",")), default=("eager", "stbench", "fast", "bf16")
    )
    parser.add_argument("--rounds", type=int, default=3, help="fresh processes of each side")
    parser.add_argument("--budget", type=float, default=6.0, help="seconds per timing, after warm-up")
    parser.add_argument("--repeats", type=int, default=3, help="minimum repeats of a timing")
    parser.add_argument("--one-process", action="store_true", help="alternate the sides in this process (CUDA)")
    parser.add_argument("--compile", action="store_true", help="stbench through torch.compile")
    parser.add_argument("--no-overheads", action="store_true", help="leave out metrics, checkpoints and start-up")
    parser.add_argument("--out", type=Path, default=Path("results/speed"))
    return parser.parse_args()


class Comparison:
    """Measurements of all methods at one benchmark's shapes."""

    def __init__(self, benchmark: str, options: argparse.Namespace) -> None:
        self.benchmark = benchmark
        self.options = options
        self.batch = 2 if options.tiny else BATCHES[benchmark]
        self.ask: Callable[[Task], Answer] = measure if options.one_process else measure_in_a_process
        self.where: dict[str, Any] = {}

    def run(self) -> dict[str, Ratio]:
        """Return all ratios by name."""
        answers = {method: self._answers(method) for method in self.options.methods}
        peaks = {p: self._peak(p, answers) for p in ("32", "bf16") if p == "32" or "bf16" in self.options.sides}
        ratios: dict[str, Ratio] = {}
        for method, sides in answers.items():
            for side in self.options.sides:
                if side != "eager":
                    ratios |= self._speeds(method, side, sides, peaks["bf16" if side == "bf16" else "32"])
            ratios |= self._memory(method, sides)
            self._where(method, sides)
        return ratios | ({} if self.options.no_overheads else self._overheads(answers))

    def _task(self, method: str, side: Side, profiled: bool = False) -> Task:
        options = self.options
        return Task(
            benchmark=self.benchmark,
            protocol="quick" if options.tiny else "paper",
            method=method,
            batch=self.batch,
            side=side,
            device=options.device,
            threads=options.threads,
            budget=options.budget,
            repeats=options.repeats,
            profiled=profiled,
            compiled=options.compile,
        )

    def _answers(self, method: str) -> dict[Side, list[Answer]]:
        """Run rounds of all sides in turns; profile the last round after timing it."""
        found: dict[Side, list[Answer]] = {side: [] for side in self.options.sides}
        for number in range(self.options.rounds):
            for side, answers in found.items():
                answer = self.ask(self._task(method, side, number == self.options.rounds - 1))
                times = ", ".join(f"{mode} {1000 * median(seconds):.1f} ms" for mode, seconds in answer.seconds.items())
                peak = f"{(answer.peak_memory or 0) / 1e6:.0f} MB"
                print(f"{self.benchmark}, {method}, {side}, round {number + 1}: {times}, {peak}", file=sys.stderr)
                answers.append(answer)
        return found

    def _flops(self, method: str, mode: Mode) -> float:
        spec = spec_of(self._task(method, "stbench"))
        return 2.0 * total_macs(lambda: build(spec)) * self.batch * (TRAINING_FACTOR if mode == "training" else 1)

    def _peak(self, precision: str, answers: dict[str, dict[Side, list[Answer]]]) -> float:
        """Return the FLOP/s of the fastest probe, or of the fastest method if higher."""
        print(f"peak of the device, {precision}", file=sys.stderr)
        probed = self.ask(self._task(precision, "peak")).peak_flops
        assert probed is not None
        reached = [
            self._flops(method, mode) / _median(sides[side], mode)
            for method, sides in answers.items()
            for side in sides
            for mode in MODES
            if (side == "bf16") == (precision == "bf16") and side != "fast"  # does fewer products than are counted
        ]
        return max(probed, *reached)

    def _speeds(self, method: str, side: Side, sides: dict[Side, list[Answer]], peak: float) -> dict[str, Ratio]:
        """Return ratios over the eager reference (for bf16, over stbench in float32), with shares of the peak."""
        base: Side = "stbench" if side == "bf16" else "eager"
        if base not in sides:
            return {}
        found = {}
        for mode in MODES:
            mine, other = _median(sides[side], mode), _median(sides[base], mode)
            flops = self._flops(method, mode)
            detail = {
                "seconds": summarise(_pooled(sides[side], mode)).model_dump(),
                f"seconds_{base}": summarise(_pooled(sides[base], mode)).model_dump(),
                "ratio_by_round": [
                    median(theirs.seconds[mode]) / median(ours.seconds[mode])
                    for ours, theirs in zip(sides[side], sides[base], strict=True)
                ],
                "share_of_peak": None if side == "fast" else flops / mine / peak,
                f"share_of_peak_{base}": None if side == "bf16" else flops / other / peak,
                "peak_flops": peak,
                "page_faults": sides[side][-1].page_faults[mode],
                f"page_faults_{base}": sides[base][-1].page_faults[mode],
            }
            name = f"{self._name(method)} {mode}: {base} / {side}"
            found[name] = Ratio(other / mine, self._target(method, side, mode), False, detail)
        return found

    def _target(self, method: str, side: Side, mode: Mode) -> float | None:
        if self.options.tiny or self.options.device != "cpu":
            return None
        if (self.benchmark, method) in TARGETS:
            return TARGETS[self.benchmark, method][0 if mode == "inference" else 1] if side == "fast" else None
        return OTHER_TARGETS.get(self.benchmark) if side == "stbench" else None

    def _memory(self, method: str, sides: dict[Side, list[Answer]]) -> dict[str, Ratio]:
        """Return the ratio of training memory; not measurable in one shared process on a CPU."""
        if "eager" not in sides or (self.options.one_process and self.options.device == "cpu"):
            return {}
        peaks = {side: median(a.peak_memory for a in answers if a.peak_memory) for side, answers in sides.items()}
        target = None if self.options.tiny else MEMORY_TARGET
        return {
            f"{self._name(method)} memory of a training step: {side} / eager": Ratio(
                peak / peaks["eager"], target if side != "bf16" else None, True, {"bytes": peaks}
            )
            for side, peak in peaks.items()
            if side != "eager"
        }

    def _where(self, method: str, sides: dict[Side, list[Answer]]) -> None:
        for mode in MODES:
            columns = {side: answers[-1].where[mode] for side, answers in sides.items()}
            self.where[f"{self._name(method)}, {mode}"] = columns

    def _overheads(self, answers: dict[str, dict[Side, list[Answer]]]) -> dict[str, Ratio]:
        method, budget = self.options.methods[0], self.options.budget
        spec = spec_of(self._task(method, "stbench"))
        step = _median(answers[method]["stbench"], "training")
        return {
            f"{self.benchmark} metrics / inference of {method}": overheads.evaluation(spec, self.batch, budget),
            f"{self.benchmark} checkpoint / epoch of {method}": overheads.checkpoint(spec, self.batch, step, budget),
        }

    def _name(self, method: str) -> str:
        return f"{self.benchmark} b{self.batch} {method}"


def _pooled(answers: list[Answer], mode: Mode) -> list[float]:
    return [seconds for answer in answers for seconds in answer.seconds[mode]]


def _median(answers: list[Answer], mode: Mode) -> float:
    return median(_pooled(answers, mode))


if __name__ == "__main__":
    sys.exit(main())
