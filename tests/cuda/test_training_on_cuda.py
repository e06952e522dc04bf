"""Training on CUDA: bf16 near float32, compiled equal to eager, resumed equal to unbroken, memory counted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from stbench.efficiency.memory import measure_memory
from stbench.nn import METHODS, Method, Progress, create_method
from stbench.schema import RunSpec
from stbench.sweep.plan import Request, make_plan
from stbench.train.engine import Engine
from tests.cuda.device import DEVICE
from tests.train.test_precision import SHAPE, TRAINED

STEPS = 4
FIRST = ("tau", "convlstm", "predrnn", "phydnet")
ORDERED = sorted(TRAINED, key=lambda name: (name not in FIRST, name))
"""The methods that matter most first: a run that is cut short has those."""


@pytest.fixture
def deterministic() -> Iterator[None]:
    """Bit-exact repeats need deterministic kernels."""
    torch.backends.cudnn.deterministic = True
    yield
    torch.backends.cudnn.deterministic = False


def placed(name: str, precision: str = "32") -> tuple[Engine, Method]:
    torch.manual_seed(0)
    engine = Engine(DEVICE, precision)
    return engine, engine.place(create_method(name, SHAPE, **METHODS.get(name).small))


def clips(engine: Engine, step: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1 + step)
    return engine.to_device(torch.rand(4, SHAPE.length, *SHAPE.frame, generator=generator))


def one_step(name: str, precision: str) -> tuple[dict[str, float], torch.Tensor, set[torch.dtype]]:
    """Loss terms, the whole gradient, and the precisions that layers computed in."""
    engine, method = placed(name, precision)
    before = torch.cat([p.detach().flatten().clone() for p in method.parameters()])
    module = engine.wrap(method.train(), torch.optim.SGD(method.parameters(), lr=1.0))
    seen: set[torch.dtype] = set()
    for layer in method.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Conv3d | nn.Linear):
            layer.register_forward_hook(lambda module, given, output: seen.add(output.dtype))
    progress = Progress(generator=torch.Generator().manual_seed(2))
    torch.manual_seed(3)
    terms = module.step(clips(engine), progress, accumulate=1, clip_norm=None)
    after = torch.cat([p.detach().flatten() for p in method.parameters()])
    return {key: float(value) for key, value in terms.items()}, before - after, seen


@pytest.mark.parametrize("name", ORDERED)
def test_bf16_trains_in_bfloat16_near_the_float32_gradient(name: str) -> None:
    """The bounds of the same test on a CPU."""
    plain_terms, plain, plain_types = one_step(name, "32")
    terms, gradient, types = one_step(name, "bf16")
    assert plain_types == {torch.float32}
    assert torch.bfloat16 in types
    assert terms == pytest.approx(plain_terms, rel=0.03)
    assert nn.functional.cosine_similarity(gradient, plain, dim=0) > 0.95


@pytest.mark.parametrize("name", ORDERED)
def test_float32_on_cuda_is_float32_on_a_cpu(name: str) -> None:
    engine, method = placed(name)
    past = clips(engine)[:, : SHAPE.t_in]
    seen = engine.predict(method.eval(), past).cpu()
    with torch.inference_mode():
        torch.testing.assert_close(seen, method.cpu()(past.cpu()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ORDERED)
def test_compiled_cuda_graphs_predict_what_eager_predicts(name: str) -> None:
    """Three calls of other inputs: the first records the graphs, the others replay them."""
    engine, method = placed(name)
    pasts = [clips(engine, step)[:, : SHAPE.t_in] for step in range(3)]
    expected = [engine.predict(method.eval(), past).clone() for past in pasts]
    engine.compile(method)
    for past, wanted in zip(pasts, expected, strict=True):
        torch.testing.assert_close(engine.predict(method, past), wanted, rtol=1e-4, atol=1e-5)


def trained(name: str, steps: range, state: dict[str, object] | None = None) -> dict[str, object]:
    """Weights and moments after some steps, from ``state`` where one is given."""
    engine, method = placed(name)
    optimizer = torch.optim.Adam(method.parameters(), lr=1e-3, fused=True)
    if state is not None:
        method.load_state_dict(state["method"])
        optimizer.load_state_dict(state["optimizer"])
    module = engine.wrap(method.train(), optimizer)
    for step in steps:
        torch.manual_seed(step)
        progress = Progress(step=step, generator=torch.Generator().manual_seed(step))
        module.step(clips(engine, step), progress, accumulate=1, clip_norm=None)
    return {"method": method.state_dict(), "optimizer": optimizer.state_dict()}


@pytest.mark.parametrize("name", ORDERED)
@pytest.mark.usefixtures("deterministic")
def test_a_resumed_training_ends_with_the_same_bits(name: str, tmp_path: Path) -> None:
    unbroken = trained(name, range(STEPS))
    torch.save(trained(name, range(STEPS // 2)), tmp_path / "last.pt")
    half = torch.load(tmp_path / "last.pt", map_location="cpu", weights_only=True)
    resumed = trained(name, range(STEPS // 2, STEPS), half)
    for key, value in unbroken["method"].items():
        assert torch.equal(value, resumed["method"][key]), key


def test_peak_memory_is_what_the_allocator_handed_out() -> None:
    spec: RunSpec = make_plan(Request(methods=("convlstm",), benchmark="taxibj", protocol="quick")).specs[-1]
    device = torch.device(DEVICE)
    small, large = (measure_memory(spec, mode="training", precision="32", batch=b, device=device) for b in (1, 16))
    assert small.failure is None
    assert large.failure is None
    assert small.peak is not None
    assert large.peak is not None
    assert small.before is not None
    assert small.before < small.peak < large.peak
    assert large.activations is not None
    assert large.activations == large.peak - (large.before or 0)
