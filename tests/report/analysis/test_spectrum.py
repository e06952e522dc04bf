"""The figure of power spectra: ratios of mean powers, not means of ratios."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stbench.report.analysis.table import make_tables
from stbench.report.figures.spectrum import draw_spectrum
from stbench.schema import Evaluation
from tests.report.runs import make_run, make_spec, write_frames


def test_ratio_of_mean_powers(tmp_path: Path) -> None:
    spec = make_spec(evaluation=Evaluation(metrics=("mse_frame", "lsd@2")))
    record = make_run(tmp_path, spec, np.ones((2, 3)))
    power = {"predicted_1": 1.0, "predicted_2": 2.0, "observed_1": 4.0, "observed_2": 2.0}
    grow_NT = np.array([[1.0, 1, 1], [1, 1, 7]])
    columns = {
        f"lsd@2.{name}": value * (grow_NT if name == "observed_1" else 1 + 0 * grow_NT) for name, value in power.items()
    }
    write_frames(record.folder, {"lsd@2": np.ones((2, 3)), **columns})
    picture, numbers = draw_spectrum(make_tables([record])[0], tmp_path / "toy")
    table = pd.read_csv(numbers).set_index(["lead_times", "wavenumber"])["power_ratio"]
    assert picture.is_file()
    assert table["all", 1] == pytest.approx(1 / (4 * grow_NT.mean()))
    assert table["last", 1] == pytest.approx(1 / 16)
    assert table["all", 2] == pytest.approx(1)


def test_no_spectra_no_figure(tmp_path: Path) -> None:
    record = make_run(tmp_path, make_spec(), np.ones((2, 3)))
    assert draw_spectrum(make_tables([record])[0], tmp_path / "toy") == []
