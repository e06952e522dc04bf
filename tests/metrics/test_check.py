import math

import pytest
import torch
from torch import Tensor

from stbench.metrics import check, check_against_skimage
from tests.metrics.cases import KINDS, frames


@pytest.mark.parametrize("kind", KINDS)
def test_both_agree(kind: str) -> None:
    pred, true = frames(kind, (3, 4, 2, 11, 9))
    assert check_against_skimage(pred, true, data_range=1.0, sample=5, seed=0) < 1e-10


def test_a_wrong_value_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    pred, true = frames("random", (2, 2, 1, 9, 9))
    right = check.frame_values

    def wrong(names: tuple[str, ...], *args: Tensor, data_range: float) -> dict[str, Tensor]:
        values = right(names, *args, data_range=data_range)
        values["ssim"][0, 3] += 1e-3
        return values

    monkeypatch.setattr(check, "frame_values", wrong)
    assert check_against_skimage(pred, true, data_range=1.0, sample=4, seed=0) == pytest.approx(1e-3)


def test_one_sided_nan_shows_and_a_common_one_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    pred, true = frames("random", (1, 2, 1, 9, 9))
    pred[0, 1, 0, 4, 4] = float("nan")
    assert check_against_skimage(pred, true, data_range=1.0, sample=2, seed=0) < 1e-10
    monkeypatch.setattr(check, "_skimage_values", lambda names, *_: dict.fromkeys(names, 0.5))
    assert math.isnan(check_against_skimage(pred, true, data_range=1.0, sample=2, seed=0))


def test_the_seed_decides_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    pred, true = frames("random", (4, 5, 1, 8, 8))
    seen: list[Tensor] = []
    right = check.frame_values
    monkeypatch.setattr(
        check, "frame_values", lambda names, p, t, **options: (seen.append(p), right(names, p, t, **options))[1]
    )
    for seed in (1, 1, 2):
        check_against_skimage(pred, true, data_range=1.0, sample=3, seed=seed)
    assert seen[0].shape == (1, 3, 1, 8, 8)
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])


def test_frames_too_small_for_ssim_are_checked_without_it() -> None:
    pred, true = frames("overshoot", (1, 2, 1, 5, 5))
    assert check_against_skimage(pred, true, data_range=1.0, sample=99, seed=0) < 1e-12
