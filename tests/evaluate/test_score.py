"""One test pass: totals, per-sequence values, samples, and the second opinion, against brute force."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from stbench.data import ClipLoader, Indices, Split, Splits
from stbench.evaluate.score import SAMPLES, NotFiniteError, Scorer, Scores
from stbench.metrics import get_metric
from stbench.metrics.sequences import by_sequence
from stbench.nn import Method, MethodConfig
from stbench.nn.missing import fill_past
from stbench.report.analysis.compare import frame_statistics, total_of
from stbench.report.bundle.scores import score_again
from stbench.report.collect.records import RunRecord
from stbench.schema import ClipShape, Evaluation, RunResult, Scaling
from stbench.schema.folder import RunFolder
from stbench.schema.sequences import SequenceValues
from stbench.train.engine import Engine
from tests.report.runs import make_spec

SHAPE = ClipShape(t_in=2, t_out=3, channels=1, height=8, width=9)
CLIPS = 11
METRICS = ("mse_frame", "mae_frame", "mse_pixel", "psnr", "ssim", "rmse_physical", "rmse_latitude")


class Noise(Split):
    """Seeded noise clips."""

    def __len__(self) -> int:
        return CLIPS

    def clips(self, indices: Indices, epoch: int) -> Tensor:
        return torch.stack(
            [torch.rand(5, 1, 8, 9, generator=torch.Generator().manual_seed(int(index))) for index in indices]
        )


def noise_data() -> Splits:
    """Noise whose physical unit is a hundredth of the model's."""
    noise = Noise()
    return Splits(
        train=noise, val=noise, test=noise, report="noise", fingerprint="noise", scaling=Scaling(scale=(100.0,))
    )


class LastPlus(Method):
    """The last frame, a tenth brighter at each lead time."""

    def forward(self, past: Tensor) -> Tensor:
        return past[:, -1:] + 0.1 * torch.arange(1, 4)[:, None, None, None]


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, object]:
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    data = noise_data()
    evaluation = Evaluation(metrics=METRICS, latitudes=(80.0, -30.0))
    scorer = Scorer(data, ClipLoader(data.test, 4, shuffle=False), evaluation, 1.0, Engine("cpu"))
    return folder, scorer.score(LastPlus(SHAPE, MethodConfig()), folder)


def frames() -> tuple[np.ndarray, np.ndarray]:
    clips = Noise().clips(np.arange(CLIPS), 0).double().numpy()
    steps = 0.1 * np.arange(1, 4)[None, :, None, None, None]
    return clips[:, 1:2] + steps, clips[:, 2:]


def test_totals_are_brute_force(scored: tuple) -> None:
    pred, true = frames()
    error = pred - true
    totals = {name: score.total for name, score in scored[1].metrics.items()}
    assert totals["mse_frame"] == pytest.approx(np.square(error).sum((2, 3, 4)).mean(), rel=1e-6)
    assert totals["mae_frame"] == pytest.approx(np.abs(error).sum((2, 3, 4)).mean(), rel=1e-6)
    assert totals["mse_pixel"] == pytest.approx(np.square(error).mean(), rel=1e-6)
    assert totals["rmse_physical"] == pytest.approx(100 * np.sqrt(np.square(error).mean()), rel=1e-6)
    rows = np.cos(np.deg2rad(np.linspace(80, -30, true.shape[-2])))[:, None]
    weighted = 100 * np.sqrt((rows / rows.mean() * np.square(error)).mean())
    assert totals["rmse_latitude"] == pytest.approx(weighted, rel=1e-6)
    assert abs(totals["rmse_latitude"] - totals["rmse_physical"]) > 1e-3
    clipped = np.square(pred.clip(0, 1) - true.clip(0, 1)).mean((2, 3, 4))
    assert totals["psnr"] == pytest.approx((-10 * np.log10(clipped)).mean(), rel=1e-6)
    leads = np.square(error).sum((2, 3, 4)).mean(0)
    assert scored[1].metrics["mse_frame"].lead_times == pytest.approx(leads, rel=1e-6)


def test_every_clip_once_in_the_uneven_last_batch_too(scored: tuple) -> None:
    assert scored[1].clips == CLIPS
    table = pd.read_parquet(scored[0].file("per_sequence.parquet"))
    pooled = ("psnr_pooled", "psnr_pooled.squared_share")
    assert list(table.columns) == ["sequence", "lead_time", *METRICS[:4], *pooled, *METRICS[4:]]
    assert sorted(table["sequence"].unique()) == list(range(CLIPS))
    assert table.groupby("sequence")["lead_time"].apply(list).tolist() == [[1, 2, 3]] * CLIPS
    pred, true = frames()
    row = table[(table["sequence"] == 9) & (table["lead_time"] == 2)].iloc[0]
    assert row["mse_frame"] == pytest.approx(np.square(pred[9, 1] - true[9, 1]).sum(), rel=1e-6)
    assert table["mse_frame"].mean() == pytest.approx(scored[1].metrics["mse_frame"].total)


def score_in_blocks(data: Splits, evaluation: Evaluation, out: Path) -> tuple[RunRecord, pd.DataFrame]:
    """Score with 4 blocks for the 11 clips; return a record of it, and the file of blocks by block and lead time."""
    folder = RunFolder(out)
    scores = Scorer(data, ClipLoader(data.test, 4, shuffle=False), evaluation, 1.0, Engine("cpu")).score(
        LastPlus(SHAPE, MethodConfig()), folder
    )
    spec = make_spec(shape=SHAPE, evaluation=evaluation)
    result = RunResult(
        run_id=spec.run_id,
        method=spec.method,
        benchmark=spec.benchmark,
        protocol=spec.protocol,
        seed=0,
        status="finished",
        test=scores.metrics,
        test_clips=CLIPS,
        missing_truth=scores.missing,
    )
    index = pd.MultiIndex.from_product([range(4), (1, 2, 3)], names=["block", "lead_time"])
    blocks = pd.read_parquet(folder.file("sequence_blocks.parquet")).set_index(index)
    return RunRecord(folder, spec, result), blocks


def values_by_block(record: RunRecord) -> pd.DataFrame:
    """The file of values, with the block of each clip: 11 clips in 4 blocks of 2, 3, 3 and 3."""
    values = pd.read_parquet(record.folder.file("per_sequence.parquet"))
    return values.assign(block=np.repeat([0, 1, 2, 3], [2, 3, 3, 3])[values["sequence"]]).set_index(
        ["block", "lead_time"]
    )


def of_blocks(frames: pd.Series) -> pd.Series:
    """The mean over clips and, of each block, the sum of deviations from it: of 11 clips in 4 blocks."""
    mean = frames.groupby(level=1).mean()
    deviations = frames - mean.reindex(frames.index.get_level_values(1)).to_numpy()
    return deviations.groupby(level=[0, 1]).sum().mul(4 / 11).add(mean, level=1)


def test_blocks_of_many_sequences_lie_beside_the_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stbench.schema.sequences.BLOCKS", 4)
    evaluation = Evaluation(metrics=METRICS, latitudes=(80.0, -30.0))
    record, blocks = score_in_blocks(noise_data(), evaluation, tmp_path)
    values = values_by_block(record)
    for name in ("mse_frame", "psnr", "psnr_pooled.squared_share"):
        np.testing.assert_allclose(blocks[name], of_blocks(values[name]), rtol=1e-12)
    np.testing.assert_allclose(blocks["rmse_physical.square"], of_blocks(values["rmse_physical"] ** 2), rtol=1e-12)
    for name, score in record.result.test.items():
        statistics_JBT = frame_statistics(record, name)
        assert statistics_JBT is not None
        assert statistics_JBT.shape[1:] == (4, 3)
        total = total_of(name)(by_sequence(statistics_JBT, name).mean(axis=1))
        assert float(total) == pytest.approx(score.total, rel=1e-9), name


def test_pooled_psnr_stands_beside_psnr(scored: tuple) -> None:
    pred, true = frames()
    error = np.square(pred.clip(0, 1) - true.clip(0, 1)).mean()
    assert scored[1].metrics["psnr_pooled"].total == pytest.approx(-10 * np.log10(error), rel=1e-6)
    assert list(scored[1].metrics)[3:5] == ["psnr", "psnr_pooled"]


def test_samples_are_the_first_clips(scored: tuple) -> None:
    with np.load(scored[0].file("samples.npz")) as samples:
        assert samples["index"].tolist() == list(range(SAMPLES))
        pred, true = frames()
        np.testing.assert_allclose(samples["prediction"], pred[:SAMPLES], rtol=1e-5)
        np.testing.assert_allclose(samples["future"], true[:SAMPLES], rtol=1e-6)
        assert samples["past"].shape == (SAMPLES, 2, 1, 8, 9)


def test_scikit_image_agrees(scored: tuple) -> None:
    assert scored[1].skimage_difference < 1e-6


def test_a_failed_pass_leaves_no_half_file(tmp_path: Path) -> None:
    class Dies(LastPlus):
        calls = 0

        def forward(self, past: Tensor) -> Tensor:
            Dies.calls += 1
            if Dies.calls == 2:
                raise RuntimeError("broken")
            return super().forward(past)

    data = noise_data()
    scorer = Scorer(
        data,
        ClipLoader(data.test, 4, shuffle=False),
        Evaluation(metrics=METRICS, latitudes=(80.0, -30.0)),
        1.0,
        Engine("cpu"),
    )
    with pytest.raises(RuntimeError, match="broken"):
        scorer.score(Dies(SHAPE, MethodConfig()), RunFolder(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_without_a_data_range_nothing_is_checked() -> None:
    data = noise_data()
    scorer = Scorer(
        data, ClipLoader(data.test, 4, shuffle=False), Evaluation(metrics=("mse_frame",)), None, Engine("cpu")
    )
    assert scorer.score(LastPlus(SHAPE, MethodConfig())).skimage_difference is None


def test_what_cannot_be_computed_is_named_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STBENCH_LPIPS_WEIGHTS", "/nowhere")
    data = noise_data()
    evaluation = Evaluation(metrics=("mse_frame", "lpips_alex"))
    scorer = Scorer(data, ClipLoader(data.test, 4, shuffle=False), evaluation, 1.0, Engine("cpu"))
    scores = scorer.score(LastPlus(SHAPE, MethodConfig()))
    assert list(scores.metrics) == ["mse_frame"]
    assert list(scores.unavailable) == ["lpips_alex"]


class Shifted(Noise):
    """Noise of which a share leaves [0, 1]."""

    def clips(self, indices: Indices, epoch: int) -> Tensor:
        return super().clips(indices, epoch) + 0.25


@pytest.mark.parametrize("clip_truth", [False, True])
def test_metrics_that_clip_the_truth_are_left_out_where_it_leaves_the_range(tmp_path: Path, clip_truth: bool) -> None:
    data = Splits(train=Noise(), val=Noise(), test=Shifted(), report="", fingerprint="")
    loader = ClipLoader(data.test, 4, shuffle=False)
    evaluation = Evaluation(metrics=("mse_frame", "psnr", "ssim"))
    scorer = Scorer(data, loader, evaluation, 1.0, Engine("cpu"), clip_truth=clip_truth)
    scores = scorer.score(LastPlus(SHAPE, MethodConfig()), RunFolder(tmp_path))
    true = Shifted().clips(np.arange(CLIPS), 0)[:, 2:]
    assert scores.outside == pytest.approx(float((true > 1).double().mean()))
    columns = pd.read_parquet(tmp_path / "per_sequence.parquet").columns
    if clip_truth:
        assert set(scores.metrics) == {"mse_frame", "psnr", "psnr_pooled", "ssim"}
        assert not scores.unavailable
        assert "psnr" in columns
    else:
        assert set(scores.metrics) == {"mse_frame"}
        assert set(scores.unavailable) == {"psnr", "psnr_pooled", "ssim"}
        assert "lie outside [0, 1]" in scores.unavailable["psnr"]
        assert list(columns) == ["sequence", "lead_time", "mse_frame"]


class Breaks(LastPlus):
    """Its prediction of clips whose first value is above 0.5 holds a NaN or an infinity."""

    bad = float("nan")

    def forward(self, past: Tensor) -> Tensor:
        future = super().forward(past)
        future[past[:, 0, 0, 0, 0] > 0.5, 1, 0, 3, 3] = self.bad
        return future


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_prediction_that_is_not_finite_has_no_score(tmp_path: Path, bad: float) -> None:
    class Broken(Breaks):
        pass

    Broken.bad = bad
    data = noise_data()
    scorer = Scorer(
        data, ClipLoader(data.test, 4, shuffle=False), Evaluation(metrics=("mse_frame",)), 1.0, Engine("cpu")
    )
    wrong = int((Noise().clips(np.arange(CLIPS), 0)[:, 0, 0, 0, 0] > 0.5).sum())
    with pytest.raises(NotFiniteError, match=f"prediction of {wrong} of {CLIPS} test clips"):
        scorer.score(Broken(SHAPE, MethodConfig()), RunFolder(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_frames_too_small_for_a_metric_are_said() -> None:
    shape = SHAPE.model_copy(update={"height": 5})

    class Small(Noise):
        def clips(self, indices: Indices, epoch: int) -> Tensor:
            return super().clips(indices, epoch)[..., :5, :]

    data = Splits(train=Small(), val=Small(), test=Small(), report="", fingerprint="")
    scorer = Scorer(
        data, ClipLoader(data.test, 4, shuffle=False), Evaluation(metrics=("psnr", "ssim")), 1.0, Engine("cpu")
    )
    scores = scorer.score(LastPlus(shape, MethodConfig()))
    assert list(scores.metrics) == ["psnr", "psnr_pooled"]
    assert "at least 7×7" in scores.unavailable["ssim"]


class Holes(Noise):
    """Noise clips that lack a corner, scattered cells and, in clip 4, the whole last frame."""

    def clips(self, indices: Indices, epoch: int) -> Tensor:
        clips = super().clips(indices, epoch)
        clips = clips.masked_fill(clips < 0.1, torch.nan)
        clips[..., :2, :3] = torch.nan
        for row in np.flatnonzero(indices == 4):
            clips[row, -1] = torch.nan
        return clips


@pytest.fixture(scope="module")
def holed(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, Scores]:
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    data = replace(noise_data(), test=Holes(), incomplete=True)
    scorer = Scorer(data, ClipLoader(data.test, 4, shuffle=False), Evaluation(metrics=METRICS[:6]), 1.0, Engine("cpu"))
    return folder, scorer.score(LastPlus(SHAPE, MethodConfig()), folder)


def test_missing_cells_are_left_out_and_their_share_is_kept(holed: tuple[RunFolder, Scores]) -> None:
    clips = Holes().clips(np.arange(CLIPS), 0)
    pred = fill_past(clips[:, :2])[:, 1:2].double().numpy() + 0.1 * np.arange(1, 4)[None, :, None, None, None]
    true = clips[:, 2:].double().numpy()
    error = pred - true
    scored = [(b, t) for b in range(CLIPS) for t in range(3) if (b, t) != (4, 2)]
    frames = [np.nanmean(np.square(error[b, t])) for b, t in scored]
    scores = holed[1]
    assert scores.metrics["mse_pixel"].total == pytest.approx(np.mean(frames), rel=1e-6)
    assert scores.metrics["mse_frame"].total == pytest.approx(72 * np.mean(frames), rel=1e-6)
    assert scores.metrics["rmse_physical"].total == pytest.approx(100 * np.sqrt(np.mean(frames)), rel=1e-6)
    assert scores.missing == pytest.approx(np.isnan(true).mean())
    assert scores.unavailable["ssim"] == "the data lack values, and it needs every cell of a frame"
    assert scores.clips == CLIPS
    assert scores.skimage_difference < 1e-6


def test_blocks_leave_out_frames_without_truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stbench.schema.sequences.BLOCKS", 4)
    data = replace(noise_data(), test=Holes(), incomplete=True)
    record, blocks = score_in_blocks(data, Evaluation(metrics=METRICS[:4]), tmp_path)
    frames = values_by_block(record)["mse_frame"]
    assert frames.count() == 3 * CLIPS - 1
    np.testing.assert_allclose(blocks["mse_frame/scored"], of_blocks(frames.notna().astype(float)), rtol=1e-12)
    np.testing.assert_allclose(blocks["mse_frame"], of_blocks(frames.fillna(0)), rtol=1e-12)
    for name in ("mse_frame", "psnr"):
        statistics_JBT = frame_statistics(record, name)
        assert statistics_JBT is not None
        total = total_of(name, weighted=True)(by_sequence(statistics_JBT, name).mean(axis=1))
        assert float(total) == pytest.approx(record.result.test[name].total, rel=1e-9), name


def test_a_frame_without_truth_is_nan_in_the_file_and_leaves_the_paired_bootstrap_intact(
    holed: tuple[RunFolder, Scores],
) -> None:
    folder, scores = holed
    table = pd.read_parquet(folder.file("per_sequence.parquet"))
    empty = table[table["mse_frame"].isna()]
    assert empty[["sequence", "lead_time"]].to_numpy().tolist() == [[4, 3]]
    for name in ("mse_frame", "rmse_physical", "psnr_pooled"):
        contract = get_metric(name)
        columns = [f"{name}.{part}" for part in contract.parts] if contract.reduction == "parts" else [name]
        record = SimpleNamespace(values=SequenceValues(folder.path, 3), incomplete=True)
        values_JNT = frame_statistics(record, name)
        assert values_JNT.shape == (len(columns) + 1, CLIPS, 3)
        total = total_of(name, weighted=True)(by_sequence(values_JNT, name).mean(axis=1))
        assert total == pytest.approx(scores.metrics[name].total, rel=1e-9)
        columns_NT = {column: table[column].to_numpy().reshape(CLIPS, 3) for column in columns}
        again, by_lead_time = score_again(columns_NT, name, incomplete=True)
        assert again == pytest.approx(scores.metrics[name].total, rel=1e-9)
        assert by_lead_time == pytest.approx(scores.metrics[name].lead_times, rel=1e-9)


def test_nan_fails_the_pass_where_the_data_lack_nothing() -> None:
    data = replace(noise_data(), test=Holes())
    scorer = Scorer(data, ClipLoader(data.test, 4, shuffle=False), Evaluation(metrics=METRICS[:3]), 1.0, Engine("cpu"))
    with pytest.raises(NotFiniteError, match="true frames of 11 of 11 test clips"):
        scorer.score(LastPlus(SHAPE, MethodConfig()))


def test_a_nan_prediction_fails_the_pass_on_incomplete_data_too() -> None:
    class Broken(LastPlus):
        def forward(self, past: Tensor) -> Tensor:
            return super().forward(past).where(past[:, -1:] < 0.9, torch.nan)

    data = replace(noise_data(), test=Holes(), incomplete=True)
    scorer = Scorer(data, ClipLoader(data.test, 4, shuffle=False), Evaluation(metrics=METRICS[:3]), 1.0, Engine("cpu"))
    with pytest.raises(NotFiniteError, match="the prediction of"):
        scorer.score(Broken(SHAPE, MethodConfig()))
