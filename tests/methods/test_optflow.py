"""Extrapolation by optical flow: known translations, advection by hand, gaps, borders."""

from __future__ import annotations

import pytest
import torch
from stbench_methods.optflow.advection import advect, fill_gaps, interpolate
from torch import Tensor

from stbench import ClipShape, UserError, create_method
from stbench.conformance.subject import benchmark_of
from stbench.nn import METHODS

SHAPE = ClipShape(t_in=3, t_out=4, channels=1, height=40, width=48)


def blobs(shape: ClipShape, velocity: tuple[float, float], channels: int = 1) -> Tensor:
    """A clip (1, L, C, H, W) of smooth spots that all move with one velocity (rows, columns per frame)."""
    generator = torch.Generator().manual_seed(0)
    time = torch.arange(shape.length)[:, None, None, None]
    rows = torch.arange(shape.height)[:, None] - velocity[0] * time
    columns = torch.arange(shape.width) - velocity[1] * time
    clip = torch.zeros(shape.length, channels, shape.height, shape.width)
    for _ in range(12):
        at = torch.rand(2, generator=generator) * torch.tensor([shape.height, shape.width])
        clip += torch.exp(-((rows - at[0]) ** 2 + (columns - at[1]) ** 2) / 18)
    return clip[None]


def interior(frames: Tensor, margin: int = 8) -> Tensor:
    return frames[..., margin:-margin, margin:-margin]


@pytest.mark.parametrize("velocity", [(0, 0), (1, 0), (0, -2), (-3, 2)])
def test_whole_pixels_are_recovered_exactly(velocity: tuple[int, int]) -> None:
    """Noise rolled round the frame: what does not enter over the border is the true future, bit by bit."""
    texture = torch.rand(2, SHAPE.height, SHAPE.width, generator=torch.Generator().manual_seed(1))
    shape = SHAPE.model_copy(update={"channels": 2})
    clip = torch.stack([texture.roll((velocity[0] * t, velocity[1] * t), (1, 2)) for t in range(shape.length)])[None]
    future = create_method("optflow", shape, motion="global")(clip[:, : shape.t_in])
    margin = 4 * max(map(abs, velocity)) or 1
    assert torch.equal(interior(future, margin), interior(clip[:, shape.t_in :], margin))


@pytest.mark.parametrize(("motion", "share"), [("lucas_kanade", 0.02), ("tvl1", 0.1), ("global", 0.05)])
@pytest.mark.parametrize("pairs", [1, 2])
def test_a_moving_field_is_followed(motion: str, share: float, pairs: int) -> None:
    """Squared error against persistence."""
    clip = blobs(SHAPE, (1.3, -0.8))
    past, true = clip[:, : SHAPE.t_in], clip[:, SHAPE.t_in :]
    future = create_method("optflow", SHAPE, motion=motion, pairs=pairs)(past)
    still = past[:, -1:].expand_as(true)
    error, before = (interior(frames - true).square().mean() for frames in (future, still))
    assert error < share * before


def test_two_things_that_move_apart_need_a_field() -> None:
    left, right = blobs(SHAPE, (0, -1.5)), blobs(SHAPE, (0, 1.5))
    mask = torch.zeros(SHAPE.width)
    mask[: SHAPE.width // 2] = 1
    clip = left * mask + right * (1 - mask)
    past, true = clip[:, : SHAPE.t_in], clip[:, SHAPE.t_in]
    errors = {}
    for motion in ("lucas_kanade", "global"):
        wrong = (create_method("optflow", SHAPE, motion=motion)(past)[:, 0] - true).square()
        errors[motion] = (wrong[..., 6:18].mean() + wrong[..., 30:42].mean()).item()
    assert errors["lucas_kanade"] < 0.3 * errors["global"]


def test_a_rotation_is_followed_along_its_circle() -> None:
    """Backward trajectories of a turning field, six degrees a frame, stay on the circle."""
    size, turn = 41, torch.pi / 30
    centre = (size - 1) / 2
    rows, columns = (torch.arange(size, dtype=torch.float64) - centre for _ in range(2))
    r, c = torch.meshgrid(rows, columns, indexing="ij")
    cos, sin = torch.cos(torch.tensor(turn)), torch.sin(torch.tensor(turn))
    back = torch.stack([cos * r - sin * c - r, sin * r + cos * c - c])[None]
    places = torch.stack([r, c])[None] + centre
    found = advect(places, back, 5, "edge")[0, -1]
    far = torch.tensor(5 * turn)
    expected = torch.stack([far.cos() * r - far.sin() * c, far.sin() * r + far.cos() * c]) + centre
    inner = (r**2 + c**2).sqrt() < 18
    assert (found - expected)[:, inner].abs().max() < 1e-5


def test_interpolation_by_hand() -> None:
    field = torch.tensor([[1.0, 2.0], [3.0, 5.0]])[None, None]
    at = torch.tensor([[[0.5, 0.0], [1.0, 0.0]], [[0.5, 1.0], [-1.0, 0.25]]])[None]
    edge = interpolate(field, at, "edge")[0, 0]
    torch.testing.assert_close(edge, torch.tensor([[2.75, 2.0], [3.0, 1.25]]))
    zero = interpolate(field, at, "zero")[0, 0]
    torch.testing.assert_close(zero, torch.tensor([[2.75, 2.0], [0.0, 1.25]]))


@pytest.mark.parametrize(("border", "value"), [("edge", 0.5), ("zero", 0.0)])
def test_what_moves_in_over_the_border(border: str, value: float) -> None:
    """A ramp that moves two columns a frame to the right: column 0 repeated, or nothing."""
    columns = torch.arange(SHAPE.width)
    rows = torch.sin(torch.arange(SHAPE.height) * 1.7)[:, None] * torch.cos(columns * 2.3)
    frames = torch.stack([rows.roll(2 * t, 1) for t in range(3)])
    frames[:, :, :2] = 0.5
    clip = frames[None, :, None]
    future = create_method("optflow", SHAPE, motion="global", border=border)(clip)
    assert (future[0, 0, 0, :, :2] == value).all()


def test_values_stay_within_those_of_the_last_frame() -> None:
    past = blobs(SHAPE, (2, 1))[:, : SHAPE.t_in]
    future = create_method("optflow", SHAPE)(past)
    assert future.min() >= past[:, -1].min() - 1e-6
    assert future.max() <= past[:, -1].max() + 1e-6


def test_gaps_are_filled_from_the_past() -> None:
    nan = float("nan")
    clip = torch.tensor([[1.0, nan, nan], [2.0, 4.0, nan], [nan, float("inf"), nan]]).reshape(1, 3, 1, 1, 3)
    mean = (1 + 2 + 4) / 3
    expected = torch.tensor([[1.0, mean, mean], [2.0, 4.0, mean], [2.0, 4.0, mean]]).reshape(1, 3, 1, 1, 3)
    torch.testing.assert_close(fill_gaps(clip), expected)
    assert not fill_gaps(torch.full((1, 2, 1, 1, 1), nan)).any()


@pytest.mark.parametrize("motion", ["lucas_kanade", "tvl1", "global"])
def test_gaps_and_frames_that_never_change_give_finite_frames(motion: str) -> None:
    past = blobs(SHAPE, (1, 0))[:, : SHAPE.t_in].repeat(4, 1, 1, 1, 1)
    past[0, :, :, 5:20, 5:20] = float("nan")
    past[1] = float("nan")
    past[2] = 0.25
    past[3, 1:] = 0.0
    future = create_method("optflow", SHAPE, motion=motion)(past)
    assert future.isfinite().all()
    assert (future[2] == 0.25).all()


def test_one_past_frame_has_no_motion() -> None:
    short = SHAPE.model_copy(update={"t_in": 1})
    assert METHODS.get("optflow").skip(benchmark_of(short)) == "needs at least 2 past frames"
    assert METHODS.get("optflow").skip(benchmark_of(SHAPE)) is None
    with pytest.raises(UserError, match="t_in = 1"):
        create_method("optflow", short)
