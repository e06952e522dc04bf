"""Untrained methods."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from stbench import ClipShape, create_method
from stbench.nn import METHODS
from stbench.schema import Benchmark, DatasetSpec

from .small import UNTRAINED

SHAPE = ClipShape(t_in=3, t_out=4, channels=2, height=3, width=5)


def benchmark(t_in: int = 3, value_range: tuple[float, float] | None = (0.0, 1.0)) -> Benchmark:
    return Benchmark(
        name="any",
        version=1,
        title="Any",
        shape=SHAPE.model_copy(update={"t_in": t_in}),
        dataset=DatasetSpec(reader="none"),
        units="",
        value_range=value_range,
        protocols={},
    )


def test_persistence_repeats_the_last_frame() -> None:
    past = torch.rand(SHAPE.past(2))
    future = create_method("persistence", SHAPE)(past)
    assert all(torch.equal(future[:, k], past[:, -1]) for k in range(4))


def test_linear_goes_on_and_is_clipped() -> None:
    past = torch.tensor([0.9, 0.2, 0.4])[None, :, None, None, None].expand(SHAPE.past(2))
    future = create_method("linear", SHAPE)(past)
    expected = torch.tensor([0.6, 0.8, 1.0, 1.0])[None, :, None, None, None].expand(SHAPE.future(2))
    torch.testing.assert_close(future, expected)
    free = create_method("linear", SHAPE, value_range=None)(past)
    torch.testing.assert_close(free[0, :, 0, 0, 0], torch.tensor([0.6, 0.8, 1.0, 1.2]))


def test_linear_fits_the_benchmark() -> None:
    linear = METHODS.get("linear")
    assert linear.adapt(benchmark(value_range=None)) == {"value_range": None}
    assert linear.adapt(benchmark(value_range=(-1.0, 1.0))) == {"value_range": (-1.0, 1.0)}
    assert linear.skip(benchmark()) is None
    assert linear.skip(benchmark(t_in=1)) == "needs at least 2 past frames"


def test_climatology_is_the_mean_of_all_training_frames() -> None:
    method = create_method("climatology", SHAPE)
    torch.manual_seed(0)
    clips = torch.rand(7, SHAPE.length, *SHAPE.frame)
    method.fit(iter([clips[:4], clips[4:]]))
    expected = clips.double().reshape(-1, *SHAPE.frame).mean(0).float()
    future = method(torch.rand(SHAPE.past(3)))
    torch.testing.assert_close(future, expected.expand(SHAPE.future(3)))


def test_climatology_keeps_its_mean_with_the_weights(tmp_path: Path) -> None:
    method = create_method("climatology", SHAPE)
    method.fit([torch.rand(2, SHAPE.length, *SHAPE.frame)])
    torch.save(method.state_dict(), tmp_path / "mean.pt")
    other = create_method("climatology", SHAPE)
    other.load_state_dict(torch.load(tmp_path / "mean.pt", weights_only=True))
    past = torch.rand(SHAPE.past(2))
    assert torch.equal(other(past), method(past))


def test_climatology_knows_nothing_before_it_has_seen_data() -> None:
    assert create_method("climatology", SHAPE)(torch.rand(SHAPE.past(2))).isnan().all()


@pytest.mark.parametrize("name", UNTRAINED)
def test_nothing_to_train(name: str) -> None:
    assert not create_method(name, SHAPE).trainable
