import subprocess
import sys

import pytest

from stbench.errors import UserError
from stbench.metrics import METRICS, check_metrics, get_metric
from stbench.metrics.errors import RootOfMean


def test_every_metric_is_described_under_its_name() -> None:
    metrics = {name: get_metric(name) for name in METRICS.names()}
    assert all(metric.formula and metric.name == name for name, metric in metrics.items())
    assert all(metric.reference and metric.averaging and metric.direction for metric in metrics.values())
    roots = {name for name, metric in metrics.items() if metric.reduction == "rms"}
    assert roots == {name for name in metrics if name.startswith("rmse")} - {"rmse_mask"}  # one mean of all cells
    assert all(isinstance(metrics[name], RootOfMean) for name in roots)


def test_direction() -> None:
    ranked = [metric for metric in map(get_metric, METRICS.names()) if metric.best is None]
    higher = {metric.name.partition("_")[0] for metric in ranked if not metric.lower_is_better}
    assert higher == {"psnr", "snr", "ssim", "csi", "pod", "sucr", "f1", "hss", "ets", "fss", "acc", "sharpness"}
    ratios = {name: get_metric(name).best for name in METRICS.names() if get_metric(name).best is not None}
    assert ratios == {
        "bias": 1,
        "bias_lead": 1,
        "bias_physical": 0,
        "bias_area": 0,
        "sharpness_ratio": 1,
        "spread_skill": 1,
    }


def test_unknown_name_suggests_a_near_miss() -> None:
    with pytest.raises(UserError, match=r"Unknown metric 'mse_frmae'\. Did you mean 'mse_frame'\?"):
        get_metric("mse_frmae")


@pytest.mark.parametrize("data_range", [None, 0.0, -1.0, float("nan"), float("inf")])
def test_data_range_must_be_stated(data_range: float | None) -> None:
    with pytest.raises(UserError, match=r"psnr, ssim: the peak .* data_range is"):
        check_metrics(["mse_frame", "psnr", "ssim"], data_range=data_range)
    assert check_metrics(["mse_frame"], data_range=data_range)[0].name == "mse_frame"


def test_latitudes_must_be_stated() -> None:
    with pytest.raises(
        UserError, match=r"rmse_latitude: the latitudes of the rows are not known.*evaluation\.latitudes"
    ):
        check_metrics(["rmse_physical", "rmse_latitude"], data_range=None, latitudes_known=False)
    assert check_metrics(["rmse_physical"], data_range=None, latitudes_known=False)


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(UserError, match="'psnr' is listed 2 times"):
        check_metrics(["psnr", "mse_frame", "psnr"], data_range=1.0)


def test_listing_imports_neither_torch_nor_numpy() -> None:
    code = "import sys, stbench.metrics as m; [m.get_metric(n) for n in m.METRICS.names()]; "
    code += "print({'torch', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
