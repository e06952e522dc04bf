"""Scenarios on a split whose frames show their own number: what is scored, on which clips, and where it is kept."""

import itertools
import os
import shutil
import signal
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from stbench.data import ClipLoader, Indices, Split, Splits
from stbench.errors import UserError
from stbench.evaluate.scenarios import transfer
from stbench.evaluate.scenarios.corrupt import DAMAGES
from stbench.evaluate.scenarios.record import FILE, LOCK, case_folder, folder_of, read_scenarios
from stbench.evaluate.scenarios.rollout import Rolled
from stbench.evaluate.scenarios.scenario import SCENARIOS, Finished, read_scenario
from stbench.evaluate.scenarios.score import score_scenario
from stbench.evaluate.scenarios.views import lengthened
from stbench.evaluate.score import Scorer
from stbench.nn import Method, MethodConfig, Times
from stbench.schema import ClipShape, DatasetSpec, Evaluation, RunSpec, Scaling
from stbench.schema.atomic import lock
from stbench.schema.folder import RunFolder
from stbench.train.engine import Engine
from tests.report.runs import make_spec

SHAPE = ClipShape(t_in=2, t_out=3, channels=1, height=8, width=8)
FRAMES, GAP = 40, 23
STARTS = np.array([s for s in range(FRAMES - 4) if not s < GAP <= s + 4])
START_SECONDS = int(np.datetime64("2024-01-05T20:00").astype("M8[s]").astype(int))


class Numbered(Split):
    """Overlapping clips of two recordings; a frame's brightness follows from its number."""

    def __len__(self) -> int:
        return len(STARTS)

    def frames(self, indices: Indices) -> Indices:
        return STARTS[indices][:, None] + np.arange(5)

    def clips(self, indices: Indices, epoch: int) -> Tensor:
        noise = np.random.default_rng(0).random((FRAMES, 1, 8, 8), dtype=np.float32)
        values = noise * 0.2 + np.arange(FRAMES, dtype=np.float32)[:, None, None, None] / FRAMES
        return torch.from_numpy(values[self.frames(indices)])

    def times(self, indices: Indices) -> Indices:
        return START_SECONDS + 3600 * self.frames(indices)


class Drift(Method):
    """The last frame, a little brighter at each lead time and hour."""

    def predict_at(self, past: Tensor, times: Times | None) -> Tensor:
        hour = 0 if times is None else (times[:, 2:] % 86400 / 86400)[..., None, None, None]
        return past[:, -1:] + 0.02 * torch.arange(1, 4)[:, None, None, None] + 0.01 * hour


class Last(Method):
    def forward(self, past: Tensor) -> Tensor:
        return past[:, -1:].expand(-1, self.shape.t_out, -1, -1, -1)


def spec_of(**evaluation: Any) -> RunSpec:
    settings = {"metrics": ("mse_frame", "ssim", "csi@0.5"), "batch_size": 4, **evaluation}
    return make_spec(shape=SHAPE, evaluation=Evaluation(**settings))


def data() -> Splits:
    split = Numbered()
    return Splits(train=split, val=split, test=split, report="", fingerprint="", scaling=Scaling())


def scored(tmp_path: Path, text: str, method: Method, **evaluation: Any) -> Any:
    engine = Engine("cpu")
    return score_scenario(
        read_scenario(text), spec_of(**evaluation), data(), RunFolder(tmp_path), engine.place(method), engine
    )


def ordinary(method: Method, **evaluation: Any) -> Any:
    engine, spec = Engine("cpu"), spec_of(**evaluation)
    loader = ClipLoader(data().test, 4, shuffle=False, limit=spec.evaluation.test_clips)
    return Scorer(data(), loader, spec.evaluation, 1.0, engine).score(engine.place(method)).metrics


IDENTITIES = ["rollout:horizon=3", "stride:every=1", *(f"corrupt:{name}=0" for name in DAMAGES)]


@pytest.mark.parametrize("clips", [None, 7])
@pytest.mark.parametrize("text", IDENTITIES)
def test_no_change_gives_the_ordinary_score_bit_for_bit(tmp_path: Path, text: str, clips: int | None) -> None:
    result = scored(tmp_path, text, Drift(SHAPE, MethodConfig()), test_clips=clips)
    assert result.cases[0].metrics == ordinary(Drift(SHAPE, MethodConfig()), test_clips=clips)
    assert result.cases[0].clips == result.cases[0].of_clips == (clips or len(STARTS))


@pytest.mark.parametrize("clips", [None, 7])
def test_transfer_to_itself_gives_the_ordinary_score_bit_for_bit(
    tmp_path: Path, clips: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both cases of the run's own benchmark, and the target where it is opened anew as another benchmark."""
    benchmark = SimpleNamespace(units="mm", shape=SHAPE, dataset=DatasetSpec(reader="toy"))
    protocol = SimpleNamespace(shape=None, dataset={})
    monkeypatch.setattr(transfer, "load_benchmark", lambda _: benchmark)
    monkeypatch.setattr(transfer, "get_protocol", lambda *_: protocol)
    monkeypatch.setattr(transfer, "open_dataset", lambda *_: data())
    expected = ordinary(Drift(SHAPE, MethodConfig()), test_clips=clips)
    for target in (spec_of().benchmark, "twin"):
        result = scored(tmp_path, f"transfer:target={target}", Drift(SHAPE, MethodConfig()), test_clips=clips)
        assert [case.label for case in result.cases] == ["source", "target"]
        assert [case.metrics for case in result.cases] == [expected, expected]


def test_rollout_reads_its_own_predictions_and_cuts_the_surplus(tmp_path: Path) -> None:
    class Steps(Method):
        calls = 0

        def predict_at(self, past: Tensor, times: Times | None) -> Tensor:
            assert times is not None
            assert times.shape[1] == 5
            Steps.calls += 1
            return past[:, -1:] + torch.arange(1, 4)[:, None, None, None]

    past = torch.zeros(1, 2, 1, 1, 1)
    times = torch.arange(2 + 7)[None]
    out = Rolled(Steps(SHAPE, MethodConfig()), 7).predict_at(past, times)
    assert out.flatten().tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert Steps.calls == 3


def test_rollout_of_the_last_frame_is_the_error_of_that_frame(tmp_path: Path) -> None:
    result = scored(tmp_path, "rollout:horizon=8", Last(SHAPE, MethodConfig()))
    (case,) = result.cases
    noise = np.random.default_rng(0).random((FRAMES, 1, 8, 8), dtype=np.float32)
    values = noise * 0.2 + np.arange(FRAMES, dtype=np.float32)[:, None, None, None] / FRAMES
    starts = [s for s in range(FRAMES - 9) if not s < GAP <= s + 9]
    expected = [np.mean([np.square(values[s + 1] - values[s + 1 + k]).sum() for s in starts]) for k in range(1, 9)]
    assert case.metrics["mse_frame"].lead_times == pytest.approx(expected, rel=1e-5)
    assert (case.clips, case.of_clips) == (len(starts), len(STARTS))


def test_longer_clips_cross_no_gap_and_keep_frames_and_times() -> None:
    longer = lengthened(Finished(spec_of(), data(), np.arange(len(STARTS))), 9)
    everything = np.arange(len(longer))
    frames = longer.frames(everything)
    assert frames is not None
    assert (np.diff(frames, axis=1) == 1).all()
    assert not ((frames < GAP).any(1) & (frames >= GAP).any(1)).any()
    assert (longer.times(everything) == START_SECONDS + 3600 * frames).all()
    alone = data().test.clips(np.arange(len(STARTS)), 0)
    ends = longer.clips(everything, 0)[:, 4:]
    starts = np.searchsorted(STARTS, frames[:, 4])
    assert torch.equal(ends, alone[torch.from_numpy(starts)])
    with pytest.raises(UserError, match="No test clip"):
        lengthened(Finished(spec_of(), data(), np.arange(len(STARTS))), 30)


def test_strides_start_at_the_same_frames(tmp_path: Path) -> None:
    result = scored(tmp_path, "stride:every=2,3", Last(SHAPE, MethodConfig()))
    assert [case.label for case in result.cases] == ["×1", "×2", "×3"]
    assert len({case.clips for case in result.cases}) == 1
    errors = [case.metrics["mse_frame"].total for case in result.cases]
    assert errors == sorted(errors)


@pytest.mark.parametrize("damage", DAMAGES)
def test_only_inputs_are_damaged_and_always_alike(damage: str) -> None:
    run = Finished(spec_of(), data(), np.arange(6))
    clean, damaged = (case.dataset.test for case in read_scenario(f"corrupt:{damage}=0.7").cases(run))
    some = np.array([1, 4])
    one, other = clean.clips(some, 0), damaged.clips(some, 0)
    assert torch.equal(one[:, 2:], other[:, 2:])
    assert not torch.equal(one[:, :2], other[:, :2])
    assert torch.equal(damaged.clips(np.array([4]), 0), other[1:])


def test_lost_frames_of_a_severity_are_lost_at_higher_ones_too() -> None:
    run = Finished(spec_of(), data(), np.arange(len(STARTS)))
    cases = read_scenario("corrupt:missing_frames=0.3,0.6").cases(run)
    lost = [(case.dataset.test.clips(np.arange(20), 0)[:, :2] == 0).all(-1).all(-1).flatten() for case in cases]
    assert [bool((low & ~high).any()) for low, high in pairwise(lost)] == [False, False]


def test_slices(tmp_path: Path) -> None:
    whole, part = scored(tmp_path, "slice:hours=22-23,0-1", Last(SHAPE, MethodConfig())).cases
    first = (START_SECONDS + 3600 * (STARTS + 2)) // 3600 % 24
    assert (whole.clips, part.clips) == (len(STARTS), int(np.isin(first, [22, 23, 0, 1]).sum()))
    weekend = scored(tmp_path, "slice:days=weekends", Last(SHAPE, MethodConfig())).cases[1]
    assert weekend.clips == int((STARTS + 2 >= 4).sum())  # Friday 20:00 + 4 h is Saturday
    bright = scored(tmp_path, "slice:above=0.99", Last(SHAPE, MethodConfig())).cases[1]
    assert 0 < bright.clips < len(STARTS)
    with pytest.raises(UserError, match="none of"):
        scored(tmp_path, "slice:above=7", Last(SHAPE, MethodConfig()))


def test_results_lie_in_the_run_folder_under_their_own_name(tmp_path: Path) -> None:
    text = "stride:every=1,2"
    scored(tmp_path, text, Last(SHAPE, MethodConfig()))
    again = scored(tmp_path, text, Last(SHAPE, MethodConfig()))
    folder = RunFolder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["scenarios"]
    assert [path.name for path in (tmp_path / "scenarios").iterdir()] == ["stride-every=1,2"]
    assert {path.name for path in folder_of(folder, text).iterdir()} == {FILE, LOCK, again.files}
    assert read_scenarios(folder) == ({text: again}, {})
    table = pd.read_parquet(case_folder(folder, again, 1).file("per_sequence.parquet"))
    assert table["mse_frame"].mean() == pytest.approx(again.cases[1].metrics["mse_frame"].total)


def test_names_of_scenarios_do_not_meet_and_are_short() -> None:
    names = ["transfer:target=a/b", "transfer:target=a-b", "transfer:target=" + "é" * 400]
    folders = {folder_of(RunFolder(Path()), name).name for name in names}
    assert len(folders) == len(names)
    assert max(len(name.encode()) for name in folders) < 256


def test_a_second_process_is_told_and_a_failure_leaves_the_old_result(tmp_path: Path) -> None:
    class Broken(Last):
        def forward(self, past: Tensor) -> Tensor:
            raise ZeroDivisionError

    text = "stride:every=1,2"
    old = scored(tmp_path, text, Last(SHAPE, MethodConfig()))
    with pytest.raises(ZeroDivisionError):
        scored(tmp_path, text, Broken(SHAPE, MethodConfig()))
    target = folder_of(RunFolder(tmp_path), text)
    with lock(target / LOCK), pytest.raises(UserError, match="Another process"):
        scored(tmp_path, text, Last(SHAPE, MethodConfig()))
    assert read_scenarios(RunFolder(tmp_path)) == ({text: old}, {})
    assert {path.name for path in target.iterdir()} == {FILE, LOCK, old.files}


def killed_at(operation: int, root: Path, text: str) -> bool:
    """Score in a child process that kills itself before one of its operations on files; True if it got that far."""
    child = os.fork()
    if child == 0:
        seen = itertools.count(1)

        def audit(event: str, arguments: tuple[Any, ...]) -> None:
            writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
            if (writes or event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree")) and (
                str(root) in str(arguments[0]) and next(seen) == operation
            ):
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(audit)
        scored(root, text, Drift(SHAPE, MethodConfig()))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.slow
def test_a_kill_at_any_point_keeps_the_old_result_or_the_new(tmp_path: Path) -> None:
    text = "stride:every=1,2"
    whole = [scored(tmp_path / name, text, one(SHAPE, MethodConfig())) for name, one in (("a", Last), ("b", Drift))]
    scores = [[case.metrics for case in result.cases] for result in whole]
    seen = []
    for operation in itertools.count(1):
        root = tmp_path / str(operation)
        shutil.copytree(tmp_path / "a", root)
        if not killed_at(operation, root, text):
            break
        found, odd = read_scenarios(RunFolder(root))
        assert not odd
        seen.append(scores.index([case.metrics for case in found[text].cases]))
        for number, case in enumerate(found[text].cases):
            table = pd.read_parquet(case_folder(RunFolder(root), found[text], number).file("per_sequence.parquet"))
            assert table["mse_frame"].mean() == pytest.approx(case.metrics["mse_frame"].total)
        again = scored(root, text, Drift(SHAPE, MethodConfig()))
        assert {path.name for path in folder_of(RunFolder(root), text).iterdir()} == {FILE, LOCK, again.files}
    assert seen == sorted(seen)
    assert set(seen) == {0, 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rolout:horizon=4", "rollout"),
        ("rollout:horizn=4", "horizon"),
        ("rollout:horizon", "KEY=VALUE"),
        ("corrupt:blur=1,gauss=2", "give one of"),
        ("slice:", "give hours"),
        ("slice:above=.nan", "finite"),
        ("rollout:horizon=[", "cannot read horizon"),
        ("rollout:horizon=1000000000", "less than or equal to 10000"),
        ("stride:every=1,1000000000", "less than or equal to 10000"),
        ("corrupt:gauss=.inf", "finite"),
        ("corrupt:blur=1e9", "less than or equal to 1000"),
        ("corrupt:gauss=1,seed=-1", "greater than or equal to 0"),
    ],
)
def test_mistakes(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_scenario(text)


def test_a_horizon_below_the_trained_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the trained horizon is 3"):
        scored(tmp_path, "rollout:horizon=2", Last(SHAPE, MethodConfig()))


def test_every_scenario_says_what_it_is() -> None:
    for name in SCENARIOS.names():
        assert (SCENARIOS.get(name).__doc__ or "").strip()


def test_members_need_no_gradients() -> None:
    class Two(Last):
        def __init__(self) -> None:
            super().__init__(SHAPE, MethodConfig())
            self.shift = torch.nn.Parameter(torch.tensor(0.1))

        def members_at(self, past: Tensor, times: Times | None) -> Tensor:
            whole = self(past)
            return torch.stack([whole - self.shift, whole + self.shift])

    mean, members = Engine("cpu").predict_members(Two(), torch.zeros(1, 2, 1, 8, 8))
    assert members is not None
    assert not members.requires_grad
    assert torch.equal(mean, members.mean(0))
