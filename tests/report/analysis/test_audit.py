"""The audits: bounds by brute force, and published tables with contradictions."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stbench.data import card, load_benchmark
from stbench.report.analysis.audit import AuditRow, audit, psnr_floor
from stbench.report.analysis.parameters import published_parameters
from stbench.report.analysis.section import make_report
from stbench.report.collect.published import PublishedRow, published_leak, published_rows, read_published
from stbench.report.collect.records import collect
from stbench.report.writers.cells import published_sheet
from stbench.schema import ClipShape
from tests.report.runs import make_run, make_spec

RENAMED = {"mse": "mse_frame", "mae": "mae_frame", "ssim": "ssim_legacy"}
TAXIBJ = ClipShape(t_in=4, t_out=4, channels=2, height=32, width=32)
MMNIST = ClipShape(t_in=10, t_out=10, channels=1, height=64, width=64)
KITTI = ClipShape(t_in=10, t_out=1, channels=3, height=128, width=160)
HUMAN = ClipShape(t_in=4, t_out=4, channels=3, height=256, width=256)


def published(shared_dir: Path, name: str) -> tuple[PublishedRow, ...]:
    return read_published(pd.read_csv(shared_dir / "published" / f"openstl_{name}.csv").rename(columns=RENAMED))


def counts(shared_dir: Path, dataset: str) -> dict[str, int]:
    """Measured parameters by the method's printed name."""
    frame = pd.read_csv(shared_dir / "reference" / "params_flops.csv").dropna(subset=["params"])
    frame = frame[frame.dataset == dataset]
    names = {"ConvLSTM": "ConvLSTM-S", "SimVP_IncepU": "SimVP+IncepU", "SimVP_gSTA": "SimVP+gSTA-S"}
    return {names.get(m, m): int(p) for m, p in zip(frame.method, frame.params, strict=True)}


def nearest_count(benchmark: str, row: PublishedRow) -> int | None:
    """Of the configurations that the row's name allows, the count nearest to the printed one."""
    if row.parameters is None or not row.plugin:
        return None
    printed = row.parameters
    return min(published_parameters(benchmark, row.plugin), key=lambda count: abs(count - printed), default=None)


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 0.5))
def test_real_errors_never_break_the_bounds(seed: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    true = rng.random((20, 64))
    error = spread * rng.normal(size=true.shape) * rng.uniform(0.2, 3, (20, 1))
    pred = (true + error).clip(0, 1)
    squared = ((pred - true) ** 2).sum(1)
    values = {
        "mse_frame": squared.mean(),
        "mae_frame": abs(pred - true).sum(1).mean(),
        "psnr": (10 * np.log10(64 / squared)).mean(),
    }
    shape = ClipShape(t_in=1, t_out=1, channels=1, height=8, width=8)
    findings = audit([AuditRow("x", values)], shape, 1.0)
    assert not [f for f in findings if "least" in f.text or "most" in f.text]


def test_bound_is_met_where_all_frames_err_alike() -> None:
    assert psnr_floor(64 * 0.01, 64, 2.0) == pytest.approx(10 * math.log10(4 / 0.01))
    values = {"mse_frame": 0.64, "psnr": 20.0}
    shape = ClipShape(t_in=1, t_out=1, channels=1, height=8, width=8)
    assert audit([AuditRow("x", values)], shape, 1.0) == []
    (finding,) = audit([AuditRow("x", {**values, "psnr": 19.9})], shape, 1.0)
    assert finding.severity == "contradiction"
    assert "below 20.00 dB" in finding.text


def test_rounding_is_no_contradiction() -> None:
    """MSE 0.0349 printed as 0.03 moves the floor by 0.66 dB."""
    shape = ClipShape(t_in=1, t_out=1, channels=1, height=1, width=1)
    honest = {"mse_frame": 0.03, "psnr": round(10 * math.log10(1 / 0.0349), 1)}
    assert audit([AuditRow("x", honest)], shape, 1.0) == []


def test_mae_above_what_mse_allows() -> None:
    shape = ClipShape(t_in=1, t_out=1, channels=1, height=8, width=8)
    (finding,) = audit([AuditRow("x", {"mse_frame": 1.0, "mae_frame": 9.0})], shape, 1.0)
    assert "MAE 9" in finding.text


def test_duplicated_rows_are_found() -> None:
    rows = [AuditRow("a", {"ssim": 0.5, "psnr": 20.0}), AuditRow("b", {"ssim": 0.5, "psnr": 20.0})]
    (finding,) = audit(rows, None, None)
    assert (finding.label, finding.text) == ("b", "every metric equals that of a")
    assert audit([rows[0], AuditRow("b", {"ssim": 0.5})], None, None) == []
    assert audit([rows[0], AuditRow("a", rows[0].values, table="other")], None, None) == []


def test_published_moving_mnist_contradicts_itself(shared_dir: Path) -> None:
    rows = published(shared_dir, "mmnist_200ep")
    findings = audit([AuditRow.of_published(row, None) for row in rows], MMNIST, 1.0)
    flagged = pd.read_csv(shared_dir / "published" / "openstl_mmnist_200ep.csv").dropna(subset=["flag"])
    assert {(f.label, f.table) for f in findings} == set(zip(flagged.method, flagged.table, strict=True))
    impossible = {f.label for f in findings if "above 21." in f.text}
    assert impossible == {"SimVP+IncepU", "SimVP+gSTA-S"}
    assert any("psnr is 37.97 here and 21.84 in MetaVP" in f.text for f in findings)
    assert audit([AuditRow.of_published(r, None) for r in published(shared_dir, "mmnist_2000ep")], MMNIST, 1.0) == []


def test_published_taxibj_has_one_row_out_of_line(shared_dir: Path) -> None:
    rows = published(shared_dir, "taxibj")
    findings = audit([AuditRow.of_published(row, None) for row in rows], TAXIBJ, 1.0)
    assert {(f.label, f.severity) for f in findings} == {("DMVFN", "suspect")}


def test_published_human_phydnet_contradicts_itself(shared_dir: Path) -> None:
    expected = counts(shared_dir, "human")
    rows = [AuditRow.of_published(row, expected.get(row.label)) for row in published(shared_dir, "human")]
    texts = [f.text for f in audit(rows, HUMAN, 1.0) if (f.label, f.severity) == ("PhyDNet", "contradiction")]
    assert any("7.9 dB above" in text for text in texts)
    assert any("4.2 M parameters, the configuration has 3.093 M" in text for text in texts)


def test_published_parameters_against_the_configuration(shared_dir: Path) -> None:
    expected = counts(shared_dir, "kitticaltech")
    rows = [AuditRow.of_published(row, expected.get(row.label)) for row in published(shared_dir, "kitticaltech")]
    wrong = [f for f in audit(rows, KITTI, 1.0) if "parameters" in f.text]
    assert {(f.label, f.text) for f in wrong} == {("TAU", "44.7 M parameters, the configuration has 14.96 M")}


@pytest.mark.parametrize(
    ("name", "copied"),
    [("weather_r", {("PredRNN++", "ConvLSTM"), ("MIM", "E3D-LSTM")}), ("weather_tcc", {("MIM", "E3D-LSTM")})],
)
def test_published_weather_rows_that_were_copied(shared_dir: Path, name: str, copied: set[tuple[str, str]]) -> None:
    frame = pd.read_csv(shared_dir / "published" / f"openstl_{name}.csv")
    metrics = ["mse", "mae", "rmse"]
    rows = [AuditRow(r["method"], {m: r[m] for m in metrics}, r["table"]) for r in frame.to_dict("records")]
    findings = [f for f in audit(rows, None, None) if "every metric" in f.text]
    assert {(f.label, f.text.removeprefix("every metric equals that of ")) for f in findings} == copied


@pytest.mark.parametrize("benchmark", ["human", "weather_t2m", "weather_t2m_1p40625"])
def test_correct_published_counts_are_not_accused(benchmark: str) -> None:
    """Human's gSTA is half as wide as its TAU; the rows of 1.40625° have configurations of their own."""
    rows = published_rows(benchmark)
    assert any(row.plugin == "simvp:gsta" for row in rows)
    found = audit([AuditRow.of_published(row, nearest_count(benchmark, row)) for row in rows], None, None)
    accused = {f.label for f in found if f.kind == "parameters"}
    dead = {row.label for row in rows if any("params_M counts" in caveat for caveat in row.caveats)}
    assert accused <= dead | {"PhyDNet"}


@pytest.mark.parametrize(
    ("benchmark", "share"), [("human", "8483 of the 8582 test clips (98.8 %)"), ("taxibj", "7 of the 500"), ("kth", "")]
)
def test_a_published_split_that_leaks_says_how_much(benchmark: str, share: str) -> None:
    leak = published_leak(benchmark)
    assert leak.startswith(share)
    assert bool(leak) == bool(share)
    assert published_leak("no such benchmark") == ""
    if leak:
        counts = load_benchmark(benchmark).published_leak
        assert counts is not None
        assert f"{counts.clips} of the {counts.test_clips} test" in card(benchmark).replace("\n", " ")
    assert "published_leak" not in load_benchmark(benchmark).model_dump()


def test_a_row_of_another_setting_is_not_held_to_the_benchmark_s() -> None:
    impossible = {"mse_frame": 1.0, "mae_frame": 9.0, "psnr": 1.0}
    shape = ClipShape(t_in=1, t_out=1, channels=1, height=8, width=8)
    row = AuditRow("x", impossible, parameters=2.0, expected_parameters=1)
    assert {f.kind for f in audit([row], shape, 1.0)} == {"mae_high", "psnr_low", "parameters"}
    assert audit([replace(row, other_setting=True)], shape, 1.0) == []


def test_the_shipped_published_table_is_read_and_audited(tmp_path: Path) -> None:
    """Dead weights in a printed count are told; a count that one of a method's variants has is none to tell."""
    rows = published_rows("taxibj")
    tau = next(row for row in rows if row.plugin == "tau" and row.parameters)
    assert tau.values["mse_frame"] == 0.3108
    assert tau.source.startswith("OpenSTL@c74deb5")
    assert 9_545_442 in published_parameters("taxibj", "tau")
    assert {13_794_914, 9_961_058} <= set(published_parameters("taxibj", "simvp"))
    assert published_parameters("taxibj", "simvp:gsta") == (9_961_058,)
    for method in ("tau", "convlstm", "simvp"):
        make_run(tmp_path, make_spec(method, benchmark="taxibj", shape=TAXIBJ), np.full((4, 4), 0.3))
    (section,) = make_report(collect([tmp_path])).sections
    leak = "7 of the 500 test clips (1.4 %) share frames with training clips"
    assert section.leak == leak
    assert f"The split of these rows leaks: {leak}." in published_sheet("taxibj", section.published, leak).notes
    assert [(f.label, f.text) for f in section.published_findings] == [
        ("every published row", f"its split leaks: {leak}"),
        ("ConvLSTM-S", "14.98 M parameters, the configuration has 11.57 M"),
    ]
    assert published_rows("no such benchmark") == ()
    assert published_parameters("taxibj", "no such method") == ()
