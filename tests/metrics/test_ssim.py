import pytest
import torch
from torch import Tensor

from stbench.errors import UserError
from stbench.metrics import frame_values
from stbench.metrics.statistics import _Job
from tests.metrics.cases import KINDS, frames, skimage_ssim

SHAPES = [(2, 3, 1, 16, 16), (1, 2, 3, 24, 17), (3, 1, 2, 7, 7), (1, 1, 1, 7, 40), (1, 5, 1, 64, 64)]


def ssim(pred: Tensor, true: Tensor, data_range: float = 1.0) -> Tensor:
    return frame_values(["ssim"], pred, true, data_range=data_range)["ssim"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_frame_equals_scikit_image(kind: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    pred, true = (x.to(dtype) for x in frames(kind, shape))
    torch.testing.assert_close(ssim(pred, true), skimage_ssim(pred, true, 1.0, clip=1.0), rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_legacy_has_twice_the_range_but_the_same_clipping(kind: str) -> None:
    pred, true = frames(kind, (2, 2, 2, 12, 13))
    both = frame_values(["ssim_legacy", "ssim"], 3 * pred, 3 * true, data_range=3.0)
    expected = skimage_ssim(3 * pred, 3 * true, 6.0, clip=3.0)
    torch.testing.assert_close(both["ssim_legacy"], expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(both["ssim"], skimage_ssim(3 * pred, 3 * true, 3.0, clip=3.0), rtol=0, atol=1e-10)


def test_a_nan_anywhere_gives_nan_for_its_frame_alone_as_scikit_image_does() -> None:
    pred, true = frames("random", (2, 3, 2, 9, 10))
    pred[0, 1, 0, 0, 0] = float("nan")
    true[1, 2, 1, 8, 9] = float("nan")
    ours = ssim(pred, true)
    torch.testing.assert_close(ours, skimage_ssim(pred, true, 1.0, clip=1.0), rtol=0, atol=1e-10, equal_nan=True)
    assert int(ours.isnan().sum()) == 2


def test_symmetric_and_one_for_equal_frames() -> None:
    pred, true = frames("overshoot", (1, 3, 1, 15, 15))
    torch.testing.assert_close(ssim(pred, true), ssim(true, pred), rtol=0, atol=1e-14)
    assert torch.equal(ssim(true, true), torch.ones(1, 3, dtype=torch.float64))


@pytest.mark.parametrize("shape", [(1, 1, 1, 6, 20), (1, 1, 1, 20, 6), (1, 1, 1, 1, 1)])
def test_frames_smaller_than_the_window(shape: tuple[int, ...]) -> None:
    pred, true = frames("random", shape)
    with pytest.raises(UserError, match=f"at least 7×7 pixels, these are {shape[-2]}×{shape[-1]}"):
        ssim(pred, true)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_accelerator_path_gives_the_same_values(shape: tuple[int, ...]) -> None:
    pred, true = (x.flatten(0, 1).float() for x in frames("overshoot", shape))
    job = _Job(frozenset({"squared", "absolute", "clipped", "signal", "ssim", "ssim_legacy"}), peak=1.0)
    on_cpu, on_device = job.on_cpu(pred, true), job.on_device(pred, true)
    for name in job.needs:
        torch.testing.assert_close(on_device[name], on_cpu[name], rtol=1e-12, atol=1e-13, msg=name)
