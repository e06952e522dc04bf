"""The contract of every method: shapes, lengths, no state between batches, gradients everywhere, the shared encoder."""

from __future__ import annotations

import pytest
import torch

from stbench import ClipShape, Progress
from stbench.nn import StridedDecoder, StridedEncoder
from tests.methods.small import SHAPE, TRAINED, UNTRAINED, build

LENGTHS = [(3, 3), (2, 5), (4, 1), (3, 4)]
SHARED = sorted(set(TRAINED) - {"mau", "mmvp"})


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("name", [*TRAINED, *UNTRAINED])
def test_shapes(name: str, lengths: tuple[int, int]) -> None:
    shape = SHAPE.model_copy(update={"t_in": lengths[0], "t_out": lengths[1]})
    method = build(name, shape).eval()
    method.fit([torch.rand(2, shape.length, *shape.frame)])
    with torch.no_grad():
        future = method(torch.rand(shape.past(2)))
    assert future.shape == shape.future(2)
    assert future.isfinite().all()


@pytest.mark.parametrize("name", TRAINED)
def test_nothing_is_carried_from_batch_to_batch(name: str) -> None:
    torch.manual_seed(0)
    method = build(name).eval()
    a, b = torch.rand(SHAPE.past(2)), torch.rand(SHAPE.past(3))
    with torch.no_grad():
        first = method(a)
        method(b)
        torch.testing.assert_close(method(a), first, rtol=0, atol=0)


@pytest.mark.parametrize("name", TRAINED)
def test_a_batch_is_its_samples(name: str) -> None:
    torch.manual_seed(0)
    method = build(name).double().eval()
    past = torch.rand(SHAPE.past(3), dtype=torch.float64)
    with torch.no_grad():
        alone = torch.cat([method(sample[None]) for sample in past])
        torch.testing.assert_close(method(past), alone, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", TRAINED)
def test_every_parameter_has_a_gradient(name: str) -> None:
    torch.manual_seed(0)
    method = build(name).train()
    progress = Progress(step=30_000, generator=torch.Generator().manual_seed(0))
    losses = method.training_losses(torch.rand(SHAPE.past(2)), torch.rand(SHAPE.future(2)), progress)
    losses["loss"].backward()
    assert losses["loss"].isfinite()
    without = [key for key, p in method.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert without == []


@pytest.mark.parametrize("name", TRAINED)
def test_the_generator_alone_decides_what_is_random(name: str) -> None:
    torch.manual_seed(0)
    method = build(name, **({"drop_path": 0.0} if name.startswith("tau") else {})).eval()
    past, future = torch.rand(SHAPE.past(4)), torch.rand(SHAPE.future(4))

    def loss(seed: int) -> float:
        torch.manual_seed(seed + 100)
        progress = Progress(step=30_000, epoch=150, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            return method.training_losses(past, future, progress)["loss"].item()

    assert loss(1) == loss(1)
    samples = not name.startswith(("tau", "simvp", "swinlstm", "predformer", "mmvp"))
    assert (len({loss(seed) for seed in range(6)}) > 1) == samples


@pytest.mark.parametrize("name", SHARED)
def test_shared_encoder(name: str) -> None:
    """Every method on the same strided pair: same parameters there, a prediction and gradients."""
    torch.manual_seed(0)
    settings = {"encoder": "shared", "hid_s": 16, "n_s": 2}
    method = build(name, **settings)
    encoder, decoder = StridedEncoder(2, 16, 2, 3), StridedDecoder(16, 2, 2, 3)
    mine = {kind: [m for m in method.modules() if isinstance(m, kind)] for kind in (StridedEncoder, StridedDecoder)}
    for kind, other in ((StridedEncoder, encoder), (StridedDecoder, decoder)):
        assert len(mine[kind]) == 1
        expected = {key: tuple(value.shape) for key, value in other.state_dict().items()}
        assert {key: tuple(value.shape) for key, value in mine[kind][0].state_dict().items()} == expected
    losses = method.training_losses(torch.rand(SHAPE.past(2)), torch.rand(SHAPE.future(2)), Progress())
    losses["loss"].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.parameters())


def test_the_block_state_of_mim_starts_fresh_and_is_cut() -> None:
    """Running a clip twice gives the same, and no gradient reaches back through s (it would reach every step)."""
    torch.manual_seed(0)
    method = build("mim")
    past = torch.rand(SHAPE.past(1))
    first = method(past)
    torch.testing.assert_close(method(past), first, rtol=0, atol=0)
    state = method.initial_state(past[:, 0])  # type: ignore[operator]
    for t in range(3):
        _, state = method.step(past[:, t], state)  # type: ignore[operator]
        assert not any(s.requires_grad for s in state.inner)
    assert all(c.requires_grad for _, c in state.layers)


@pytest.mark.parametrize("name", ["convlstm", "predrnn", "predrnnpp", "predrnnv2", "mim", "mau"])
def test_no_convolution_runs_on_a_known_zero_state(name: str) -> None:
    """Over one step, with random weights: no convolution sees an all-zero input."""
    shape = ClipShape(t_in=1, t_out=1, channels=1, height=8, width=8)
    method = build(name, shape).eval()
    inputs: list[torch.Tensor] = []

    def look(_module: torch.nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        inputs.append(args[0])

    for module in method.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_pre_hook(look)
    method(torch.rand(shape.past(2)) + 0.5)
    assert inputs
    assert all(x.abs().sum() > 0 for x in inputs)
