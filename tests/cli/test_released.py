"""``stbench weights`` and ``stbench evaluate --weights`` against a server on this machine.

The released files themselves could not be fetched where this was written: the tests write checkpoints in their layout.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from typer.testing import CliRunner

from stbench import ClipShape, UserError, create_method
from stbench.cli.app import app
from stbench.data import load_benchmark
from stbench.data.benchmarks import released
from stbench.data.benchmarks.released import Checkpoint, Release, all_released, last_scores, released_of
from stbench.fetch import transfer
from stbench.nn import METHODS
from stbench.schema.folder import RunFolder
from tests import fixtures
from tests.support.web import Web, serving

SHAPE = ClipShape(t_in=4, t_out=4, channels=2, height=32, width=32)
SIZES = {"hid_s": 4, "hid_t": 8, "n_s": 2, "n_t": 2}
LOG = """2023-05-14 12:31:10,100 - Epoch: 49, Steps: 1278 | Lr: 0.0000010 | Train Loss: 0.0003 | Vali Loss: 0.0002
2023-05-14 12:31:11,344 - val\t mse:0.4, mae:16.5
2023-05-14 12:32:00,001 - mse:0.25, mae:14.5, ssim:0.9845, psnr:39.5
"""
NAME = "openstl/taxibj/tau"


@pytest.fixture(scope="module")
def method():
    torch.manual_seed(0)
    return create_method("tau", SHAPE, **SIZES).eval()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with tiny files of TaxiBJ."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "taxibj").mkdir()
    fixtures.window_npz.write(folder / "taxibj", SHAPE.frame)
    return folder


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch, method) -> Iterator[Web]:
    """A server that has the weights of TAU on TaxiBJ behind a redirect, and their log."""
    monkeypatch.setattr(transfer, "PAUSE", 0.0)
    monkeypatch.setenv("STBENCH_CACHE", "")
    with serving() as made:
        made.moved["taxibj_tau_cos_ep50.pth"] = "signed/w"
        made.files["signed/w"] = saved(method.public_state_dict())
        made.files["taxibj_tau_cos_ep50.log"] = LOG.encode()
        real = released_of("taxibj")
        release = real[0].release.model_copy(update={"url": f"{made.url}/"})
        here = tuple(released.Released(item.benchmark, item.name, release, item.checkpoint) for item in real)
        monkeypatch.setattr(released, "released_of", lambda name: here if name == "taxibj" else ())
        yield made


@pytest.fixture
def place(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of its own with the tiny files, and an own cache."""
    monkeypatch.setenv("STBENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "taxibj").symlink_to(data / "taxibj")
    return tmp_path / "data"


def saved(content: object) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(*arguments: object) -> str:
    result = invoke(*arguments)
    assert isinstance(result.exception, UserError), result.output
    return " ".join(str(result.exception).split())


def evaluate(place: Path, *arguments: object) -> tuple[object, ...]:
    return ("evaluate", "--weights", NAME, "--data-dir", place, "--out", place / "out", "--device", "cpu", *arguments)


def test_released_weights_are_fetched_scored_and_compared_with_their_log(web: Web, place: Path, method) -> None:
    done = invoke(*evaluate(place, "--dataset", "taxibj"))
    assert done.exit_code == 0, done.output
    text = " ".join(done.output.split())
    assert "To download into" in text
    assert "scores beside the training log taxibj_tau_cos_ep50.log" in text
    (run,) = (place / "out" / "runs").glob("taxibj-legacy-tau*")
    spec, result = RunFolder(run).spec(), RunFolder(run).result()
    assert (spec.method, spec.protocol, spec.training) == (f"tau@{NAME}", "legacy", None)
    assert spec.origins["weights"] == f"released as {NAME}: {web.url}/taxibj_tau_cos_ep50.pth"
    assert {key: spec.config[key] for key in SIZES} == SIZES
    arrays = np.load(place / "taxibj" / "dataset.npz")
    past, future = ((torch.from_numpy(arrays[key]).float() + 1) / 2 for key in ("X_test", "Y_test"))
    with torch.no_grad():
        error = float((method(past) - future).square().sum((2, 3, 4)).mean())
    assert result.test["mse_frame"].total == pytest.approx(error, rel=1e-4)
    assert f"mse_frame {error:.6g} 0.25 {error - 0.25:+.4g}" in text
    assert {"mae_frame", "ssim_legacy", "psnr"} <= set(text.split())
    record = json.loads((run / "released.json").read_text())
    assert record["stated"]["values"] == {"mse_frame": 0.25, "mae_frame": 14.5, "ssim_legacy": 0.9845, "psnr": 39.5}
    entries = json.loads((place / "weights" / "openstl" / "taxibj" / "downloads.lock.json").read_text())
    assert set(entries) == {"taxibj_tau_cos_ep50.pth", "taxibj_tau_cos_ep50.log"}
    web.files.clear()  # what is here is not fetched again
    assert invoke(*evaluate(place)).exit_code == 0


def test_without_a_log_the_printed_row_is_compared(web: Web, place: Path) -> None:
    del web.files["taxibj_tau_cos_ep50.log"]
    done = invoke(*evaluate(place))
    assert done.exit_code == 0, done.output
    assert "scores beside the printed table OpenSTL STL, TAU" in done.output
    assert "0.3108" in done.output


def test_list_shows_what_is_here_and_the_figure_of_the_log(web: Web, tmp_path: Path) -> None:
    before = invoke("weights", "list", "--dataset", "taxibj", "--method", "tau", "--data-dir", tmp_path).output
    assert before.splitlines()[1].split()[:8] == [NAME, "tau", "50", "epochs,", "cosine", "schedule", "unknown", "no"]
    assert "mse_frame 0.3108 (printed table OpenSTL STL, TAU)" in before
    got = invoke("weights", "get", NAME, "--data-dir", tmp_path)
    assert got.exit_code == 0, got.output
    after = invoke("weights", "list", "--dataset", "taxibj", "--method", "tau", "--data-dir", tmp_path).output
    size = len(web.files["signed/w"]) / 1000
    assert f"{size:.1f} kB" in after
    assert "yes" in after
    assert "mse_frame 0.25 (training log taxibj_tau_cos_ep50.log)" in after
    assert "simvp:gsta" not in after
    assert len(invoke("weights", "list", "--method", "simvp", "--data-dir", tmp_path).output.splitlines()) == 1 + 12


def test_another_file_than_at_the_first_download_is_refused(web: Web, tmp_path: Path) -> None:
    assert invoke("weights", "get", NAME, "--data-dir", tmp_path).exit_code == 0
    (tmp_path / "weights" / "openstl" / "taxibj" / "taxibj_tau_cos_ep50.pth").write_bytes(b"spoiled")
    assert "at the first download" in refused("weights", "get", NAME, "--data-dir", tmp_path)


def test_weights_of_other_sizes_or_methods_name_the_key(web: Web, place: Path, method) -> None:
    state = dict(method.public_state_dict())
    first = next(iter(state))
    state["other.weight"] = state.pop(first)
    web.files["signed/w"] = saved({"state_dict": state})
    said = refused(*evaluate(place))
    assert f"missing: {first}" in said
    assert "unexpected: other.weight" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--weights", "openstl/taxibj/tua"), "Did you mean 'openstl/taxibj/tau'?"),
        (("--weights", "tau"), "named RELEASE/BENCHMARK/NAME, got 'tau'"),
        (("--weights", "openstl/sevir/tau"), "Unknown benchmark with released weights 'sevir'"),
        (("--weights", NAME, "--protocol", "paper"), "may have been trained on test clips. Use --protocol legacy"),
        (("--weights", NAME, "--dataset", "kth"), "are weights of taxibj. Leave --dataset out"),
        (("--weights", NAME, "--method", "convlstm"), "are weights of tau. Leave --method out"),
        (("--weights", "openstl/taxibj/prednet"), "'prednet', a method that is not installed"),
        (("--weights", NAME, "--run", "x"), "Give either --run"),
    ],
)
def test_mistakes_are_one_clear_message(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    assert message in refused("evaluate", *arguments, "--data-dir", tmp_path)


def test_benchmarks_without_weights_are_told(tmp_path: Path) -> None:
    assert "No weights of bair are known" in refused("weights", "list", "--dataset", "bair")
    assert "Did you mean 'taxibj'" in refused("weights", "list", "--dataset", "taxbj")
    assert "'tua'" in refused("weights", "list", "--dataset", "taxibj", "--method", "tua")


def test_every_released_file_of_the_published_list_is_offered(shared_dir: Path) -> None:
    file = shared_dir / "published" / "openstl_weights.csv"
    if not file.is_file():
        pytest.skip(f"needs {file}")
    with file.open() as stream:
        rows = list(csv.DictReader(stream))
    logs = {row["url"]: row["log_url"] for row in rows}
    offered = {item.url: "".join(d.url or "" for d in item.downloads[1:]) for item in all_released()}
    assert offered == logs
    assert len(offered) == 270


ALL = {name: released_of(name) for name in sorted({item.benchmark for item in all_released()})}


@pytest.mark.parametrize("name", ALL)
def test_every_method_runs_under_the_protocol_of_its_weights(name: str) -> None:
    benchmark = load_benchmark(name)
    for method in {item.checkpoint.method for item in ALL[name]} - {None}:
        plugin, _, variant = method.partition(":")
        assert METHODS.get(plugin).skip(benchmark) is None
        assert not variant or variant in METHODS.get(plugin).variants
    (protocol,) = {item.release.protocol for item in ALL[name]}
    metrics = benchmark.protocols[protocol].evaluation.metrics
    assert {own for item in ALL[name] for own in item.release.metrics.values()} <= set(metrics)


@pytest.mark.parametrize("name", ALL)
def test_every_figure_is_of_one_printed_row(name: str, tmp_path: Path) -> None:
    for item in ALL[name]:
        figures = item.figures((tmp_path,))
        assert (figures is None) == (item.checkpoint.row is None), item.full_name
        assert figures is None or set(figures.values) <= set(item.release.metrics.values())
        assert figures is None or next(iter(item.release.metrics.values())) in figures.values


def test_the_scores_of_a_log_without_a_test_are_those_of_the_best_validation() -> None:
    lines = [
        "2023-02-25 14:18:41,045 - val\t mse:1.1552700996398926, mae:0.671, rmse:1.0748",
        "2023-02-25 14:18:41,046 - Intermediate result: 1.1552700996398926  (Index 13)",
        "2023-02-25 14:34:12,457 - vali mse:1.141e+00, mae:0.656, rmse:1.0682",
        "2023-02-25 14:50:00,000 - val\t mse:1.2, mae:0.7, rmse:1.1",
    ]
    assert last_scores("\n".join(lines)) == {"mse": 1.141, "mae": 0.656, "rmse": 1.0682}
    assert last_scores("") == {}
    assert last_scores("no log at all\n - \n") == {}


def test_an_entry_without_a_printed_row_is_a_mistake_of_the_list(tmp_path: Path) -> None:
    item = Checkpoint(file="a.pth", row="No such row")
    release = Release(
        release="x", url="https://e.org/", training="1 epoch", setting="50 epoch", metrics={}, checkpoints={"a": item}
    )
    with pytest.raises(UserError, match="has 0 rows"):
        released.Released("taxibj", "a", release, item).figures((tmp_path,))
