"""How fast stbench is, as ratios that travel between machines; guards against getting slower.

Run from the repository root on a machine that does nothing else:

    python scripts/measure_speed.py [--quick] [--threads 2] [--compile] [--budget 6] [--out results/speed]

In one process, taking turns with square matrix products (the device's own fp32 peak):

* prediction and training step of four methods, taxibj shapes at batch 16 and mmnist shapes at batch 4, fp32 and bf16:
  their share of the peak (2 FLOPs per multiply-add, three forwards to a training step), and that share over the one
  the public reference implementation reaches in fp32 (REFERENCE_SHARES), against TARGETS; a target that is missed
  stands beside the ratio that square matrix products of the same precision reach;
* all metrics but LPIPS and those of global grids, as a share of the first method's inference time;
* writing a checkpoint, as a share of an epoch of training.

In processes of their own: peak memory of a training step, over the reference's; start-up of ``stbench list``.

Writes ``<date>-<hardware>.json`` to --out, prints the ratios, and those of the last file of the same hardware,
threads and options beside them; a ratio that got worse by more than a tenth is marked, and the exit code is then 1.
--quick is a check of the script itself (batch 1, one setting, no memory): it writes nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from stbench.efficiency.macs import TRAINING_FACTOR, total_macs
from stbench.efficiency.memory import measure_memory
from stbench.efficiency.peak import flops_per_second, matrix_product
from stbench.efficiency.records import Mode
from stbench.efficiency.running import Runner
from stbench.efficiency.sampling import DeviceClock, Spread, interleave
from stbench.efficiency.subject import build, random_clip
from stbench.metrics import METRICS, MetricAccumulator, frame_values
from stbench.schema import RunSpec
from stbench.schema.folder import RunFolder, write_text
from stbench.sweep.environment import describe_environment
from stbench.sweep.plan import Request, make_plan
from stbench.train.checkpoint import TrainState, save_last
from stbench.train.engine import Engine

METHODS = ("tau", "phydnet", "convlstm", "predrnn")
MODES: tuple[Mode, Mode] = ("inference", "training")
REFERENCE_SHARES = {
    ("taxibj", "tau"): (0.24, 0.26),
    ("taxibj", "phydnet"): (0.61, 0.68),
    ("taxibj", "convlstm"): (0.92, 0.90),
    ("taxibj", "predrnn"): (0.88, 0.90),
    ("mmnist", "tau"): (0.55, 0.43),
    ("mmnist", "phydnet"): (0.49, 0.51),
    ("mmnist", "convlstm"): (0.78, 0.79),
    ("mmnist", "predrnn"): (0.75, 0.78),
}
"""Shares of the fp32 peak that the public reference implementation reaches in fp32: (inference, training)."""
REFERENCE_MEMORY = {
    ("taxibj", "tau"): 2.60e9,
    ("taxibj", "phydnet"): 1.59e9,
    ("taxibj", "convlstm"): 1.85e9,
    ("taxibj", "predrnn"): 2.61e9,
    ("mmnist", "tau"): 2.48e9,
    ("mmnist", "phydnet"): 1.47e9,
    ("mmnist", "convlstm"): 1.68e9,
    ("mmnist", "predrnn"): 2.28e9,
}
"""Its peak process memory in a training step, fp32, in bytes."""
TARGETS = {
    "32": {"tau": 2.0, "phydnet": 1.3, "convlstm": 1.1, "predrnn": 1.1},
    "bf16": {"tau": 4.0, "phydnet": 5.0, "convlstm": 5.0, "predrnn": 5.0},
}
"""Least ratio of our share to the reference's; stated for taxibj, shown for mmnist too."""
MEMORY_TARGET, EVALUATION_TARGET, CHECKPOINT_TARGET, START_UP_TARGET = 0.85, 0.03, 0.02, 1.0
EPOCH_CLIPS = {"taxibj": 18_415, "mmnist": 10_000}
"""Training clips of an epoch under the paper protocol: 90 % of TaxiBJ's 20461 windows; Moving MNIST's 10000."""
BATCHES = {"taxibj": 16, "mmnist": 4}
START_UPS = 5
WORSE = 0.1


@dataclass(frozen=True)
class Ratio:
    """One number of the record; ``lower`` says that less is better, ``target`` is the bound it should keep."""

    value: float
    target: float | None
    lower: bool
    detail: dict[str, Any]

    @property
    def met(self) -> bool | None:
        """Whether the target is kept; None without one."""
        if self.target is None:
            return None
        return self.value <= self.target if self.lower else self.value >= self.target

    def worsened(self, before: float) -> bool:
        """Whether it is more than a tenth worse than an earlier value."""
        return self.value > before * (1 + WORSE) if self.lower else self.value < before * (1 - WORSE)


def main() -> int:
    """Measure, print, write, compare."""
    options = _options()
    torch.set_num_threads(options.threads)
    ratios: dict[str, Ratio] = {}
    batches = {"taxibj": 1} if options.quick else BATCHES
    for benchmark, batch in batches.items():
        ratios.update(_Setting(benchmark, batch, options).measure())
    ratios["start-up of stbench list"] = start_up()
    environment = describe_environment(torch.device("cpu"))
    choices = {"compile": options.compile, "budget": options.budget}
    earlier = last_record(options.out, environment, choices)
    worse = show(ratios, earlier)
    if not options.quick:
        print(f"Written: {write(options.out, ratios, environment, choices)}")
    return 1 if worse else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a check of the script; writes nothing")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--compile", action="store_true", help="predictions through torch.compile")
    parser.add_argument("--budget", type=float, default=6.0, help="seconds per timing, after warm-up")
    parser.add_argument("--repeats", type=int, default=3, help="least repeats of a timing")
    parser.add_argument("--out", type=Path, default=Path("results/speed"))
    return parser.parse_args()


class _Setting:
    """One benchmark's shapes at one batch size."""

    def __init__(self, benchmark: str, batch: int, options: argparse.Namespace) -> None:
        self.benchmark = benchmark
        self.batch = batch
        self.options = options
        plan = make_plan(Request(methods=METHODS, benchmark=benchmark))
        self.specs: dict[str, RunSpec] = {spec.method: spec for spec in plan.specs if spec.method in METHODS}
        self.macs = {name: total_macs(lambda s=spec: build(s)) for name, spec in self.specs.items()}  # type: ignore[misc]
        self.clock = DeviceClock(torch.device("cpu"))
        self.seconds: dict[tuple[str, str, Mode], float] = {}

    def measure(self) -> dict[str, Ratio]:
        """Every ratio of this setting by its name."""
        found: dict[str, Ratio] = {}
        for precision in TARGETS:
            for mode in MODES:
                print(f"timing {self.benchmark}, {mode}, {precision}", file=sys.stderr)
                found.update(self.shares(precision, mode))
        found[f"{self.benchmark} metrics / inference of {METHODS[0]}"] = self.evaluation()
        found[f"{self.benchmark} checkpoint / epoch of {METHODS[0]}"] = self.checkpoint()
        if not self.options.quick:
            for name in METHODS:
                print(f"memory of {name}, {self.benchmark}", file=sys.stderr)
                found[f"{self.benchmark} memory of a training step / reference {name}"] = self.memory(name)
        return found

    def time(self, works: Mapping[Any, Callable[[], object]]) -> dict[Any, Spread]:
        """Timings of work in turns.

        Raises:
            SystemExit: something ran out of memory.
        """
        results = interleave(works, self.clock, self.options.budget, self.options.repeats)
        short = {key: found for key, found in results.items() if isinstance(found, str)}
        if short:
            raise SystemExit(f"{self.benchmark}, batch {self.batch}: {short}")
        return {key: found for key, found in results.items() if isinstance(found, Spread)}

    def shares(self, precision: str, mode: Mode) -> dict[str, Ratio]:
        """Our share of the fp32 peak over the reference's, by method."""
        engine = Engine("cpu", precision)
        runners = {n: Runner(spec, engine, compiled=self.options.compile) for n, spec in self.specs.items()}
        works: dict[Any, Callable[[], object]] = {n: r.work(mode, self.batch) for n, r in runners.items()}
        gemms = {("gemm", p): matrix_product(self.clock.device, p) for p in dict.fromkeys(("32", precision))}
        times = self.time({**works, **gemms})
        peaks = {p: flops_per_second(times["gemm", p], self.clock.device) for _, p in gemms}
        found = {}
        for name in METHODS:
            self.seconds[name, precision, mode] = times[name].p50
            flops = 2 * self.macs[name] * self.batch * (TRAINING_FACTOR if mode == "training" else 1)
            share = flops / times[name].p50 / peaks["32"]
            reference = REFERENCE_SHARES[self.benchmark, name][MODES.index(mode)]
            detail = {
                "share_of_fp32_peak": share,
                "share_of_own_peak": flops / times[name].p50 / peaks[precision],
                "reference_share": reference,
                "at_own_peak": peaks[precision] / peaks["32"] / reference,
                "seconds": times[name].model_dump(),
                "peaks_gflops": {p: peak / 1e9 for p, peak in peaks.items()},
            }
            key = f"{self.benchmark} b{self.batch} {precision} {mode} share / reference {name}"
            own = detail["share_of_own_peak"]
            print(f"  {key}: {share / reference:.3f}, {own:.2f} of its own peak", file=sys.stderr)
            found[key] = Ratio(share / reference, TARGETS[precision][name], lower=False, detail=detail)
        return found

    def evaluation(self) -> Ratio:
        """All metrics but LPIPS on a batch, over predicting it."""
        names = [name for name, m in METRICS.items() if m.family != "lpips" and not m.needs_latitudes]
        spec = self.specs[METHODS[0]]
        runner = Runner(spec, Engine("cpu", "32"))
        future = random_clip(spec.shape, self.batch)[:, spec.shape.t_in :]
        guess = future.flip(0).contiguous()
        totals = MetricAccumulator(names, spec.shape.t_out, 1.0)

        def score() -> None:
            totals.update(frame_values(names, guess, future, data_range=1.0, physical=(guess, future)))

        times = self.time({"score": score, "predict": runner.work("inference", self.batch)})
        share = times["score"].p50 / times["predict"].p50
        return Ratio(share, EVALUATION_TARGET, lower=True, detail={"metrics": names})

    def checkpoint(self) -> Ratio:
        """Saving weights and moments once, over the training steps of an epoch."""
        name = METHODS[0]
        spec = self.specs[name]
        engine = Engine("cpu", "32")
        assert spec.training is not None, "the method is trained"
        method = engine.place(build(spec))
        optimizer = engine.adam(method, spec.training.optimizer, spec.training.lr)
        for parameter in method.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        with tempfile.TemporaryDirectory() as path:
            folder = RunFolder(Path(path))
            folder.checkpoints.mkdir()
            taken = self.time({"save": lambda: save_last(folder, TrainState(), method, optimizer)})["save"].p50
            size = sum(file.stat().st_size for file in folder.checkpoints.iterdir())
        epoch = self.seconds[name, "32", "training"] * EPOCH_CLIPS[self.benchmark] / self.batch
        return Ratio(taken / epoch, CHECKPOINT_TARGET, lower=True, detail={"seconds": taken, "bytes": size})

    def memory(self, name: str) -> Ratio:
        """Peak memory of a training step in a fresh process, over the reference's."""
        found = measure_memory(
            self.specs[name], mode="training", precision="32", batch=self.batch, device=self.clock.device
        )
        if found.peak is None:
            raise SystemExit(f"memory of {name} on {self.benchmark}: {found.failure}")
        reference = REFERENCE_MEMORY[self.benchmark, name]
        return Ratio(found.peak / reference, MEMORY_TARGET, lower=True, detail={"peak": found.peak})


def start_up() -> Ratio:
    """Median seconds of ``stbench list``; the one number that is not a ratio."""
    command = [sys.executable, "-m", "stbench", "list"]
    seconds = []
    for _ in range(START_UPS):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - started)
    median = sorted(seconds)[START_UPS // 2]
    return Ratio(median, START_UP_TARGET, lower=True, detail={"seconds": seconds})


def last_record(folder: Path, environment: Mapping[str, Any], choices: Mapping[str, Any]) -> dict[str, float]:
    """Values of the newest file of the same hardware, threads and options; empty without one."""
    for path in sorted(folder.glob("*.json"), reverse=True):
        record = json.loads(path.read_text(encoding="utf-8"))
        same = all(record["environment"][key] == environment[key] for key in ("device", "threads"))
        if same and record["options"]["compile"] == choices["compile"]:
            print(f"Compared with {path}.")
            return {name: ratio["value"] for name, ratio in record["ratios"].items()}
    return {}


def show(ratios: Mapping[str, Ratio], earlier: Mapping[str, float]) -> list[str]:
    """Print every ratio with its target and its last value; returns those that got worse."""
    worse = []
    for name, ratio in ratios.items():
        bound = "" if ratio.target is None else f"{'≤' if ratio.lower else '≥'} {ratio.target:g}"
        verdict = {True: "met", False: "MISSED", None: ""}[ratio.met]
        before = earlier.get(name)
        last = "" if before is None else f"last {before:.3f}"
        if before is not None and ratio.worsened(before):
            worse.append(name)
            last += " WORSE"
        if ratio.met is False and "at_own_peak" in ratio.detail:
            last += f" (products of this precision alone: {ratio.detail['at_own_peak']:.2f})"
        print(f"{name:<62} {ratio.value:8.3f}  {bound:<7} {verdict:<7} {last}")
    return worse


def write(folder: Path, ratios: Mapping[str, Ratio], environment: dict[str, Any], choices: dict[str, Any]) -> Path:
    """Write the dated record."""
    words = "".join(c if c.isalnum() else "-" for c in f"{environment['device']}-t{environment['threads']}").lower()
    path = folder / f"{time.strftime('%Y-%m-%dT%H%M%SZ', time.gmtime())}-{words}.json"
    rows = {
        name: {"value": r.value, "target": r.target, "met": r.met, "lower_is_better": r.lower, **r.detail}
        for name, r in ratios.items()
    }
    record = {"environment": environment, "options": choices, "ratios": rows}
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(record, indent=2) + "\n")
    return path


if __name__ == "__main__":
    sys.exit(main())
