"""Estimated time of a plan from finished runs, and when there is none."""

from pathlib import Path

from stbench.schema import Failure, RunResult, RunSpec
from stbench.schema.folder import RunFolder
from stbench.settings import parse_override
from stbench.sweep.estimate import Duration, plan_times
from stbench.sweep.plan import Request, make_plan


def specs_of(*overrides: str, seeds: tuple[int, ...] = (0,), **training: object) -> tuple[RunSpec, ...]:
    pairs = [parse_override(text) for text in overrides]
    made = {"benchmark": "taxinyc", "protocol": "quick", "seeds": seeds, "training": training, "overrides": pairs}
    return tuple(spec for spec in make_plan(Request(methods=["tau"], **made)).specs if spec.training is not None)


def finish(root: Path, spec: RunSpec, seconds: float, device: str = "here", failure: Failure | None = None) -> None:
    folder = RunFolder(root / spec.folder)
    folder.create(spec)
    folder.write_environment({"device": device})
    identity = {"run_id": spec.run_id, "method": "tau", "benchmark": "taxinyc", "protocol": "quick", "seed": spec.seed}
    status = "finished" if failure is None else "failed"
    epoch = seconds if failure is None else None
    folder.write_result(RunResult(**identity, status=status, failure=failure, seconds_per_epoch=epoch))


def test_median_epoch_times_epochs(tmp_path: Path) -> None:
    for spec, seconds in zip(specs_of(seeds=(0, 1, 2)), (2.0, 3.0, 100.0), strict=True):
        finish(tmp_path, spec, seconds)
    (longer,) = specs_of(seeds=(7,), epochs=11)
    assert plan_times([longer], tmp_path, "here") == {longer.folder: Duration("estimate", 33.0)}


def test_done_and_budgets_need_no_estimate(tmp_path: Path) -> None:
    done, other = specs_of(seeds=(0, 1))
    finish(tmp_path, done, 2.0)
    (timed,) = specs_of(budget="10min")
    times = plan_times([done, other, timed], tmp_path, "here")
    assert other.training is not None
    assert times == {
        done.folder: Duration("done"),
        other.folder: Duration("estimate", 2.0 * other.training.epochs),
        timed.folder: Duration("budget", 600.0),
    }


def test_other_devices_sizes_failures_and_foreign_folders_say_nothing(tmp_path: Path) -> None:
    wanted = specs_of(seeds=(9,))
    finish(tmp_path, specs_of(seeds=(0,))[0], 2.0, device="elsewhere")
    finish(tmp_path, specs_of("tau.hid_t=96")[0], 2.0)
    finish(tmp_path, specs_of(seeds=(3,))[0], 2.0, failure=Failure(kind="crashed", reason="x"))
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "result.json").write_text("[]")
    assert plan_times(wanted, tmp_path, "here") == {}
    assert plan_times(wanted, tmp_path / "nowhere", "here") == {}
