"""Run folders made by hand: the real layout, chosen numbers."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stbench.evaluate.scenarios.record import FILE, CaseResult, ScenarioResult, folder_of
from stbench.evaluate.sequences import add_blocks
from stbench.report.collect.records import RunRecord
from stbench.schema import (
    ClipShape,
    DatasetSpec,
    Evaluation,
    Failure,
    RunResult,
    RunSpec,
    Score,
    Training,
)
from stbench.schema.folder import RunFolder
from stbench.schema.sequences import BLOCKED
from stbench.train.schedules import Constant

T_OUT, SIDE = 3, 8
PIXELS = SIDE * SIDE
METRICS = ("mse_frame", "psnr")


def make_spec(method: str = "alpha", seed: int = 0, **changes: Any) -> RunSpec:
    training = Training(epochs=2, batch_size=4, lr=1e-3, schedule=Constant())
    values: dict[str, Any] = {
        "method": method,
        "plugin": method.partition(":")[0],
        "config": {"width": 4},
        "benchmark": "toy",
        "benchmark_version": 1,
        "protocol": "paper",
        "shape": ClipShape(t_in=2, t_out=T_OUT, channels=1, height=SIDE, width=SIDE),
        "dataset": DatasetSpec(reader="toy"),
        "value_range": (0.0, 1.0),
        "data_range": 1.0,
        "training": training,
        "selection": "validation",
        "evaluation": Evaluation(metrics=METRICS),
        "encoder": "paper",
        "seed": seed,
        "origins": {"config.width": "--set", "training.lr": "toy protocol paper"},
    }
    return RunSpec(**{**values, **changes})


def make_run(
    root: Path, spec: RunSpec, mse_NT: Any = None, *, failure: Failure | None = None, **result: Any
) -> RunRecord:
    """A complete run folder whose mse_frame per sequence and lead time is given; PSNR follows from it."""
    folder = RunFolder(root / spec.folder)
    folder.create(spec)
    identity = {"run_id": spec.run_id, "method": spec.method, "benchmark": spec.benchmark, "protocol": spec.protocol}
    identity |= {"data_report": "made by hand", "data_fingerprint": "f" * 8}
    if failure is not None:
        made = RunResult(**identity, seed=spec.seed, status="failed", failure=failure)
    else:
        mse_NT = np.asarray(mse_NT, dtype=float)
        with np.errstate(divide="ignore"):
            frames = {"mse_frame": mse_NT, "psnr": 10 * np.log10(PIXELS / mse_NT)}
        write_frames(folder, frames)
        test = {name: Score(total=v.mean(), lead_times=tuple(v.mean(axis=0))) for name, v in frames.items()}
        values = {
            "test": test,
            "test_clips": len(mse_NT),
            "parameters": 12_345,
            "seconds_per_epoch": 2.0,
        }
        made = RunResult(**{**identity, **values, **result}, seed=spec.seed, status="finished")
    folder.write_environment({"device": "test CPU", "git": {"commit": "c0ffee", "modified": False}})
    folder.write_result(made)
    return RunRecord(folder, spec, made)


def write_frames(folder: RunFolder, frames: dict[str, Any]) -> None:
    first = next(iter(frames.values()))
    count, lead_times = first.shape
    columns = {
        "sequence": np.repeat(np.arange(count), lead_times),
        "lead_time": np.tile(np.arange(1, lead_times + 1, dtype=np.int32), count),
        **{name: values.reshape(-1) for name, values in frames.items()},
    }
    pd.DataFrame(columns).to_parquet(folder.file("per_sequence.parquet"))


def block(record: RunRecord) -> Path:
    """Write the blocks of a run's many sequences, as scoring does; return their file."""
    add_blocks(record.open_values(), record.result.test, incomplete=record.incomplete)
    return record.folder.file(BLOCKED)


def write_samples(folder: RunFolder, *, clips: int = 2, channels: int = 1, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)

    def frames(steps: int) -> np.ndarray:
        return rng.random((clips, steps, channels, SIDE, SIDE), dtype=np.float32)

    past, future = frames(2), frames(T_OUT)
    noise = 0.1 * np.random.default_rng(seed + 1).standard_normal(future.shape).astype(np.float32)
    np.savez_compressed(
        folder.file("samples.npz"), index=np.arange(clips), past=past, future=future, prediction=future + noise
    )


def noisy(rng: np.random.Generator, mean: float, count: int = 40, leads: int = T_OUT) -> np.ndarray:
    """Positive errors (N, T) around a mean, growing with lead time."""
    return mean * np.linspace(0.8, 1.2, leads) * rng.uniform(0.5, 1.5, size=(count, 1))


def put_scenario(record: RunRecord, name: str, cases: list[Any], horizon: int = T_OUT, overlap: int = 1) -> None:
    """Write a scenario whose mse_frame per sequence and lead time is given for each case."""
    results = []
    for number, mse_NT in enumerate(cases):
        folder = RunFolder(folder_of(record.folder, name) / f"case-{number}")
        folder.path.mkdir(parents=True)
        write_frames(folder, {"mse_frame": mse_NT})
        score = Score(total=mse_NT.mean(), lead_times=tuple(mse_NT.mean(axis=0)))
        results.append(
            CaseResult(
                label=f"case {number}",
                value=float(number),
                horizon=horizon,
                clips=len(mse_NT),
                of_clips=60,
                overlap=overlap,
                metrics={"mse_frame": score},
            )
        )
    made = ScenarioResult(
        name=name, kind=name.partition(":")[0], axis="severity", run_id=record.spec.run_id, cases=tuple(results)
    )
    (folder_of(record.folder, name) / FILE).write_text(made.model_dump_json())
