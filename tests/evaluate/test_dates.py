"""Methods get the dates of their clips, with limits, processes, workers and split batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import stbench
from stbench import ClipShape, UserError
from stbench.data import ClipLoader, Split
from stbench.evaluate.times import clip_times
from stbench.events import RunListener
from stbench.nn import Method, MethodConfig
from stbench.sweep.execute import Run, Workplace, splits_of
from stbench.sweep.plan import Request, make_plan
from stbench.train.engine import Engine
from stbench.train.validate import validation_mse
from tests.support.stored_frames import windowed

SHAPE = ClipShape(t_in=2, t_out=3, channels=1, height=2, width=2)


def dated_split(frames: int = 41, known: bool = True) -> Split:
    """Each frame shows its own time, in days; ``known`` False keeps the times to itself."""
    seconds = np.arange(frames, dtype=np.int64) * 21_600 + 600_000
    shown = np.tile((seconds / 86400)[:, None, None, None], (1, 1, 2, 2))
    windows = np.arange(frames - 4)[:, None] + np.arange(5)
    return windowed(shown, windows, seconds if known else None)


class Clock(Method):
    """Predicts the frames' own times, in days; what it says without them is far off."""

    def forward(self, past: Tensor) -> Tensor:
        return torch.full(self.shape.future(len(past)), -1e3)

    def predict_at(self, past: Tensor, times: Tensor | None) -> Tensor:
        if times is None:
            return self(past)
        assert torch.equal((times[:, :2] / 86400).float(), past[:, :, 0, 0, 0])
        return (times[:, 2:] / 86400).float()[..., None, None, None].expand(self.shape.future(len(past)))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"limit": 13},
        {"shuffle": True, "limit": 14, "drop_last": True},
        {"rank": 1, "world_size": 2},
        {"workers": 2},
        {"shuffle": True, "workers": 1, "rank": 1, "world_size": 2, "limit": 21},
    ],
    ids=str,
)
def test_times_belong_to_their_clips(options: dict[str, Any]) -> None:
    loader = ClipLoader(dated_split(), 6, **{"shuffle": False, "seed": 3, **options})
    batches = list(loader.dated_epoch(1))
    assert len(batches) == loader.steps_per_epoch
    for (indices, clips, times), wanted in zip(batches, loader.batches(1), strict=True):
        assert times is not None
        assert times.dtype == torch.int64
        assert np.array_equal(indices, wanted)
        assert torch.equal((times / 86400).float(), clips[..., 0, 0, 0])


def test_data_without_dates_have_none() -> None:
    split = dated_split(known=False)
    assert all(times is None for _, _, times in ClipLoader(split, 6, shuffle=False).dated_epoch(0))


def test_validation_asks_with_dates() -> None:
    loader = ClipLoader(dated_split(), 6, shuffle=False)
    assert validation_mse(Clock(SHAPE, MethodConfig()), loader, Engine("cpu")) == 0


@pytest.fixture(scope="module")
def real_runs(tmp_path_factory: pytest.TempPathFactory, shared_dir: Path) -> tuple[dict[str, Any], Path]:
    """Results of climatology in its three forms on New York's taxis, and the folder of the default one."""
    folder = shared_dir / "data" / "taxinyc"
    if not folder.is_dir():
        pytest.skip(f"needs {folder}")
    names = ("climatology", "climatology:groups=time_of_day", "climatology:groups=mean")
    plan = make_plan(Request(methods=names, benchmark="taxinyc", protocol="quick"))
    workplace = Workplace(tmp_path_factory.mktemp("runs"), (folder,), Engine("cpu"))
    data = splits_of(plan.specs[0], workplace.data_dirs)
    results = {}
    for spec in plan.specs:
        run = workplace.folder(spec)
        run.create(spec)
        result = Run(spec, data, workplace, run).finish(RunListener(), None)  # type: ignore[arg-type]
        run.write_result(result)
        results[spec.method] = result.test
    default = next(spec for spec in plan.specs if spec.method == "climatology")
    return results, workplace.folder(default).path


def test_real_traffic_follows_the_clock_and_the_week(real_runs: tuple[dict[str, Any], Path]) -> None:
    errors = {name: scores["mse_frame"].total for name, scores in real_runs[0].items()}
    assert errors["climatology"] < 0.95 * errors["climatology:groups=time_of_day"]
    assert errors["climatology:groups=time_of_day"] < 0.6 * errors["climatology:groups=mean"]
    assert errors["climatology"] < 0.6 * errors["persistence"]


def test_a_loaded_run_predicts_by_dates(real_runs: tuple[dict[str, Any], Path], shared_dir: Path) -> None:
    predictor = stbench.load(real_runs[1], "cpu")
    with np.load(real_runs[1] / "samples.npz") as samples:
        index, past, recorded = (samples[name] for name in ("index", "past", "prediction"))
    dataset = splits_of(predictor.spec, (shared_dir / "data" / "taxinyc",))
    seconds = dataset.test.times(index)
    assert seconds is not None
    physical = predictor.scaling.to_physical(torch.from_numpy(past))
    wanted = predictor.scaling.to_physical(torch.from_numpy(recorded)).numpy()
    dates = seconds[:, :4].astype("M8[s]")
    np.testing.assert_allclose(predictor.predict(physical.numpy(), times=dates), wanted, rtol=1e-5, atol=1e-3)
    one = predictor.predict(physical[2].numpy(), times=[str(date) for date in dates[2]])
    np.testing.assert_allclose(one, wanted[2], rtol=1e-5, atol=1e-3)
    many = predictor.predict(physical.repeat(40, 1, 1, 1, 1).numpy(), times=np.tile(seconds, (40, 1)))
    np.testing.assert_allclose(many, np.tile(wanted, (40, 1, 1, 1, 1)), rtol=1e-5, atol=1e-3)
    undated = predictor.predict(physical.numpy())
    assert np.ptp(undated, axis=(0, 1)).max() == 0
    day = predictor.predict(physical.numpy(), times=dates, horizon=24)
    np.testing.assert_allclose(day[:, :4], wanted, rtol=1e-5, atol=1e-3)


def test_past_dates_go_on_at_their_step() -> None:
    dates = np.array(["2016-02-28T22:00", "2016-02-28T23:00"], dtype="M8[s]")
    times = clip_times(dates, 3, 2, 3)
    assert times.shape == (3, 5)
    assert times[2].numpy().astype("M8[s]").astype(str).tolist()[2:] == [
        f"2016-02-29T0{hour}:00:00" for hour in range(3)
    ]
    assert torch.equal(clip_times(times.numpy(), 3, 2, 3), times)
    assert torch.equal(clip_times(times[0].tolist(), 3, 2, 3), times)


@pytest.mark.parametrize(
    ("dates", "message"),
    [
        (np.zeros(3, dtype=np.int64), r"shape \(3,\); expected \(2,\) or \(4, 2\), or the whole clip's 5"),
        (np.zeros((3, 2), dtype=np.int64), r"shape \(3, 2\)"),
        (np.zeros((1, 4, 2), dtype=np.int64), r"shape \(1, 4, 2\)"),
        (np.zeros(2, dtype=np.int64), "not evenly spaced"),
        (np.array([[0, 60], [0, 60], [0, 60], [60, 0]]), "not evenly spaced"),
        (np.array([0.0, 60.0]), "float64 values; give datetime64"),
        (["yesterday", "today"], "give datetime64"),
        (np.array(["2016-01-01", "NaT"], dtype="M8[s]"), "give datetime64"),
    ],
)
def test_dates_that_do_not_fit_are_refused(dates: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        clip_times(dates, 4, 2, 3)


def test_a_single_past_frame_shows_no_step() -> None:
    with pytest.raises(UserError, match="one per clip, which shows no step"):
        clip_times(np.zeros(1, dtype=np.int64), 4, 1, 3)
    assert clip_times(np.arange(4), 2, 1, 3).tolist() == [[0, 1, 2, 3]] * 2


def test_minutes_are_not_taken_for_seconds() -> None:
    minutes = np.datetime64("2016-01-01T00:00", "m").astype(np.int64) + np.arange(2)
    with pytest.raises(UserError, match="Minutes have to be multiplied by 60"):
        clip_times(minutes, 4, 2, 3)


def test_steps_below_a_second_go_on() -> None:
    dates = np.datetime64("2020-01-01T00:00:00") + np.array([0, 400], dtype="m8[ms]")
    seconds = clip_times(dates, 1, 2, 4).numpy()[0]
    assert (seconds - seconds[0]).tolist() == [0, 0, 0, 1, 1, 2]
