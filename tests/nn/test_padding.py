"""Frames that do not divide: what a method computes on, and what its loss and its prediction are of."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stbench import ClipShape, create_method
from stbench.errors import UserError
from stbench.nn import METHODS, Method, MethodConfig, ParallelForecaster, Progress, RecurrentForecaster, check_divisible
from stbench.nn.padding import mirror

ODD = ClipShape(t_in=2, t_out=3, channels=1, height=5, width=7)
PADDED = (8, 8)


@pytest.mark.parametrize(("size", "target"), [((5, 7), (8, 8)), ((1, 3), (4, 4)), ((2, 2), (9, 9)), ((4, 4), (4, 4))])
def test_mirror_is_numpys_reflection(size: tuple[int, int], target: tuple[int, int]) -> None:
    frames = torch.rand(2, 3, *size)
    pad = [(0, 0), (0, 0), (0, target[0] - size[0]), (0, target[1] - size[1])]
    assert np.array_equal(mirror(frames, *target).numpy(), np.pad(frames.numpy(), pad, mode="reflect"))


class Pass(ParallelForecaster):
    """Adds a parameter per cell of the frame that it computes on."""

    def __init__(self, shape: ClipShape, config: MethodConfig) -> None:
        super().__init__(shape, config)
        check_divisible(shape.height, shape.width, 4, "the test")
        self.cells = nn.Parameter(torch.rand(shape.height, shape.width))

    def predict_block(self, past: Tensor) -> Tensor:
        return past.flip(-1) + self.cells


class Steps(RecurrentForecaster):
    """The same, step by step."""

    def __init__(self, shape: ClipShape, config: MethodConfig) -> None:
        super().__init__(shape, config)
        check_divisible(shape.height, shape.width, 4, "the test")
        self.cells = nn.Parameter(torch.rand(shape.height, shape.width))

    def initial_state(self, frame: Tensor) -> Tensor:
        return torch.zeros_like(frame)

    def step(self, frame: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return frame.flip(-1) + self.cells + 0 * state, state

    def draw_feed(self, batch: int, progress: Progress) -> Tensor:
        return torch.arange(self.shape.length - 1).expand(batch, -1) < self.shape.t_in


@pytest.mark.parametrize("kind", [Pass, Steps])
def test_predictions_are_cropped_and_padded_cells_are_fed_mirrored(kind: type[Method]) -> None:
    method = kind.create(ODD, {}, "test")
    assert (method.shape, method.net_shape.height, method.net_shape.width) == (ODD, *PADDED)
    past = torch.rand(2, 2, 1, 5, 7)
    seen = method(past)
    frame, expected = past[:, -1], []
    if kind is Steps:
        for _ in range(3):
            frame = (mirror(frame, *PADDED).flip(-1) + method.cells)[..., :5, :7]
            expected.append(frame)
    else:
        once = (mirror(past, *PADDED).flip(-1) + method.cells)[..., :5, :7]
        twice = (mirror(once, *PADDED).flip(-1) + method.cells)[..., :5, :7]
        expected = list(torch.cat([once, twice], dim=1)[:, :3].unbind(1))
    assert torch.equal(seen, torch.stack(expected, dim=1))


@pytest.mark.parametrize("kind", [Pass, Steps])
def test_the_loss_is_of_the_true_cells(kind: type[Method]) -> None:
    """One step or pass only: the parameters of padded cells get no gradient."""
    shape = ODD.model_copy(update={"t_in": 2, "t_out": 1} if kind is Pass else {"t_in": 1, "t_out": 1})
    method = kind.create(shape, {}, "test")
    past, future = torch.rand(2, shape.t_in, 1, 5, 7), torch.rand(2, 1, 1, 5, 7)
    loss = method.training_losses(past, future, Progress())["loss"]
    assert torch.allclose(loss, (method(past) - future).square().mean())
    loss.backward()
    reached = method.cells.grad != 0
    assert reached[:5, :7].all()
    assert not reached[5:].any()
    assert not reached[:, 7:].any()


def test_a_frame_that_divides_is_left_alone() -> None:
    method = Pass.create(ODD.model_copy(update={"height": 8, "width": 12}), {}, "test")
    past = torch.rand(1, 2, 1, 8, 12)
    assert method.net_shape == method.shape
    assert method.pad(past) is past
    assert method.crop(past) is past


def test_several_factors_meet_at_a_common_multiple() -> None:
    class Two(Pass):
        def __init__(self, shape: ClipShape, config: MethodConfig) -> None:
            super().__init__(shape, config)
            check_divisible(shape.height, shape.width, 6, "the test")

    net = Two.create(ODD.model_copy(update={"height": 13}), {}, "test").net_shape
    assert (net.height, net.width) == (24, 12)


def test_a_plain_method_that_does_not_pad_says_what_it_needs() -> None:
    class Plain(Method):
        def __init__(self, shape: ClipShape, config: MethodConfig) -> None:
            super().__init__(shape, config)
            check_divisible(shape.height, shape.width, 4, "the test")

    with pytest.raises(UserError, match="A frame of 5×7 does not divide by 4"):
        Plain.create(ODD, {}, "test")


@pytest.mark.parametrize(("height", "width"), [(9, 7), pytest.param(1, 12, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", METHODS.names())
def test_every_method_predicts_every_cell(name: str, height: int, width: int) -> None:
    """On torch's meta device: shapes alone, no arithmetic."""
    plugin = METHODS.get(name)
    shape = ClipShape(t_in=4, t_out=6, channels=2, height=height, width=width)
    with torch.device("meta"):
        method = create_method(name, shape, **plugin.small)
    if not method.trainable:
        method = create_method(name, shape, **plugin.small)
        method.fit([torch.rand(3, 10, 2, height, width)])
    device = "meta" if method.trainable else "cpu"
    future = method.eval()(torch.ones(2, 4, 2, height, width, device=device))
    assert tuple(future.shape) == (2, 6, 2, height, width)
