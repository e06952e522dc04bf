"""Tables, CSV, JSON, LaTeX and the figure of a profile made by hand, and the command line end to end."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.image import imread

from stbench.data.benchmarks.lookup import published_table
from stbench.efficiency.records import (
    Cost,
    Energy,
    Growth,
    MacCount,
    Memory,
    ParameterCount,
    Profile,
    Speed,
    Stages,
)
from stbench.efficiency.sampling import OUT_OF_MEMORY, summarise
from stbench.report.analysis.published_cost import published_cost
from stbench.report.produce import write_profile
from stbench.report.writers.latex import sheet_latex
from stbench.report.writers.profile import profile_csv, profile_markdown
from stbench.report.writers.profile_sheets import make_sheets
from stbench.schema import ClipShape

SHAPE = ClipShape(t_in=4, t_out=4, channels=2, height=32, width=32)
ENVIRONMENT = {"device": "ACME X_1 (8 cores)", "libraries": {"torch": "2.9.0+cpu"}, "threads": 2}


def cost(method: str, live: int, macs: int, *, dead: int = 0, one_pass: int | None = None, t_out: int = 4) -> Cost:
    spread = summarise([0.010, 0.012, 0.014])
    return Cost(
        method=method,
        plugin=method,
        encoder="paper",
        shape=SHAPE.model_copy(update={"t_out": t_out}),
        parameters=ParameterCount(live=live, dead=dead, shared=0, dead_names=("old.weight",) if dead else ()),
        macs=MacCount(
            executed=macs - 5,
            idle=5,
            one_pass=one_pass,
            modules={"cells": macs - 5},
            operators={"conv": macs - 5},
            uncounted={"gelu": 3},
            torch_counter=macs - 5,
        ),
        speeds=(
            Speed(
                mode="inference",
                precision="32",
                batch=1,
                seconds=spread,
                sequences_per_second=1 / spread.p50,
                frames_per_second=4 / spread.p50,
                peak_flops=1e12,
                share_of_peak=0.25,
            ),
            Speed(mode="training", precision="32", batch=16, seconds=None, failure=OUT_OF_MEMORY),
        ),
        memories=(
            Memory(
                mode="inference",
                precision="32",
                batch=16,
                peak=2_000_000_000,
                before=1_500_000_000,
                start_up=2.5,
                first=0.5,
            ),
            Memory(mode="training", precision="32", batch=16, failure=f"{OUT_OF_MEMORY} (killed)"),
        ),
        stages=Stages(encoder=0.1, temporal=0.7, decoder=0.2),
        growths=(Growth(axis="horizon", time_exponent=0.9, macs_exponent=1.0, points=((1.0, 0.1), (2.0, 0.19))),),
        energy=Energy(reason="this device has no energy counter"),
    )


def made(*costs: Cost) -> Profile:
    return Profile(
        benchmark="taxibj", version=1, protocol="paper", environment=ENVIRONMENT, compiled=False, costs=costs
    )


PROFILE = made(cost("convlstm", 11_572_224, 20_737_425_408), cost("tau", 9_545_442, 2_494_754_816, dead=12_000_000))


def test_files_are_named_by_hardware_torch_and_threads(tmp_path: Path) -> None:
    paths = write_profile(PROFILE, tmp_path)
    stem = "taxibj-paper-acme-x-1-8-cores-torch2.9.0-cpu-t2"
    assert [path.name for path in paths] == [f"{stem}.{ending}" for ending in ("json", "csv", "md", "tex", "png")]
    assert Profile.model_validate_json(paths[0].read_text()) == PROFILE
    assert json.loads(paths[0].read_text())["environment"] == ENVIRONMENT
    image = imread(paths[-1])
    assert image.shape[:2] == (660, 960)
    assert len({tuple(colour) for colour in image.reshape(-1, image.shape[-1])[::7]}) > 10


def test_tables() -> None:
    counts, inference, training, memory, time = make_sheets(PROFILE)
    assert counts.rows[0][:5] == ("convlstm", "11.57 M", "0", "0", "20.74 G")
    assert counts.rows[0][7:] == ("14.98 M [1]", "20.74 G")
    assert counts.rows[1][2] == "12.00 M"
    assert counts.rows[1][7:] == ("9.55 M", "2.49 G")
    assert inference.rows[0] == ("convlstm", "32", "1", "12.0 ms", "13.8 ms", "2.000 ms", "3", "83.3", "333", "0.25")
    assert training.rows[0][3] == OUT_OF_MEMORY
    assert memory.rows[0] == (
        "convlstm",
        "16",
        "2.00 GB",
        "0.50 GB",
        "out of memory (killed)",
        "–",
        "2.500 s",
        "500 ms",
    )
    assert time.rows[0] == ("convlstm", "10 %", "70 %", "20 %", "0.90 (1.00)", "–", "–", "not measured")
    notes = "\n".join(counts.notes)
    assert "[1] convlstm: 14.98 M published includes 3.41 M that the forward never uses" in notes
    assert "dead parameters: old.weight" in notes
    assert "tau: published as TAU (OpenSTL STL), OpenSTL@" in notes
    assert "operators not counted: gelu ×3" in notes
    assert all(len(row) == len(sheet.headings) for sheet in make_sheets(PROFILE) for row in sheet.rows)


def test_published_one_pass_is_explained() -> None:
    longer = cost("tau", 9_545_442, 4_989_509_632, one_pass=2_494_754_816, t_out=8)
    published = published_cost("taxibj", longer)
    assert published is not None
    assert published.notes == ("2.49 G published is one pass of 4 frames; the horizon of 8 takes 4.99 G",)


def test_another_configuration_is_said_to_be_one() -> None:
    published = published_cost("taxibj", cost("phydnet", 4_000_000, 5_598_103_168))
    assert published is not None
    assert published.notes[0] == "3.09 M published, 4.00 M measured: the row has a different configuration"
    assert "wrong scalar" in published.notes[1]
    smaller = published_cost("taxibj", cost("convlstm", 100_000, 10_000_000))
    assert smaller is not None
    assert smaller.notes[:2] == (
        "14.98 M published, 0.10 M measured: the row has a different configuration",
        "20.74 G published, 0.01 G measured: the row has a different configuration",
    )


def test_the_row_that_agrees_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    from stbench.report.analysis import published_cost as module

    table = published_table("taxibj")
    assert table is not None
    large = table[table["plugin"] == "tau"].iloc[:1].assign(method="TAU-L", params_M=44.7)
    monkeypatch.setattr(module, "published_table", lambda name: pd.concat([large, table]))
    found = published_cost("taxibj", cost("tau", 9_545_442, 2_494_754_816))
    assert found is not None
    assert (found.label, found.notes) == ("TAU", ())


def test_unpublished_is_none() -> None:
    assert published_cost("taxibj", cost("nobody", 1, 10)) is None
    assert published_cost("moving_digits", cost("tau", 1, 10)) is None


def test_csv_holds_every_number_once() -> None:
    facts = list(csv.DictReader(io.StringIO(profile_csv(PROFILE))))
    keys = [(f["method"], f["quantity"], f["mode"], f["precision"], f["batch"], f["unit"]) for f in facts]
    assert len(set(keys)) == len(keys)
    values = {(f["method"], f["quantity"], f["mode"]): f["value"] for f in facts}
    assert values["tau", "macs_total", "inference"] == "2494754816"
    assert values["tau", "parameters_dead", ""] == "12000000"
    assert values["convlstm", "time_p50", "inference"] == "0.012"
    assert values["convlstm", "time_p50", "training"] == OUT_OF_MEMORY
    assert values["convlstm", "memory_activations", "inference"] == "500000000"


def test_markdown_and_latex_are_well_formed() -> None:
    sheets = make_sheets(PROFILE)
    text = profile_markdown(PROFILE, sheets)
    assert text.startswith("# taxibj v1, protocol paper: cost on ACME X_1 (8 cores), torch 2.9.0+cpu, threads: 2")
    widths = {line.count("|") for line in text.splitlines() if line.startswith("| ") and "precision" in line}
    assert widths == {11}
    latex = sheet_latex(sheets[-1])
    assert latex.count(r"\\") == 1 + len(sheets[-1].rows)
    assert r"10 \% & 70 \% & 20 \%" in latex


@pytest.mark.slow
def test_command_line(tmp_path: Path) -> None:
    names = "tau,simvp:gsta,convlstm,predrnn,phydnet,persistence"
    options = ["--protocol", "quick", "--batch-sizes", "1,2", "--precision", "32,bf16", "--train", "--budget", "0.05"]
    command = [sys.executable, "-m", "stbench", "profile", "--methods", names, "--dataset", "taxibj", *options]
    done = subprocess.run([*command, "--out", str(tmp_path)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    found = Profile.model_validate_json(next(tmp_path.glob("*.json")).read_text())
    assert [c.method for c in found.costs] == names.split(",")
    for one in found.costs[:-1]:
        keys = {(s.mode, s.precision, s.batch) for s in one.speeds}
        assert len(keys) == len(one.speeds) == 8
        assert all(s.seconds for s in one.speeds)
        assert [m.failure for m in one.memories] == [None] * 4
        assert one.stages is not None
    assert "Speed of training" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "tua"], "Did you mean 'tau'?"),
        (["--methods", "tau", "--batch-sizes", "0"], "a batch has at least one clip"),
        (["--methods", "tau", "--batch-sizes", "1,x"], "expected whole numbers"),
        (["--methods", "tau", "--precision", "16"], "expected some of 32, bf16"),
    ],
)
def test_mistakes_are_one_message(arguments: list[str], message: str, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from stbench.cli.app import app
    from stbench.errors import UserError

    result = CliRunner().invoke(app, ["profile", "--dataset", "taxibj", *arguments, "--out", str(tmp_path)])
    assert isinstance(result.exception, UserError)
    assert message in str(result.exception)
