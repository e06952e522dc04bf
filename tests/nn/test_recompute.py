"""Recomputation stores fewer tensors and gives the same gradients."""

from __future__ import annotations

import importlib
from collections import Counter

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from stbench.nn import METHODS, Progress, RecurrentForecaster, create_method, recompute
from stbench.nn.recompute import in_groups
from stbench.schema import ClipShape

SHAPE = ClipShape(t_in=4, t_out=6, channels=1, height=16, width=16)
RECURRENT = [name for name in METHODS.names() if issubclass(METHODS.get(name), RecurrentForecaster)]


class ConvCounter(TorchDispatchMode):
    """Counts convolutions by their number of output channels."""

    def __init__(self) -> None:
        super().__init__()
        self.by_width: Counter[int] = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten.convolution.default:
            self.by_width[args[1].shape[0]] += 1
        return function(*args, **(kwargs or {}))


def kept_bytes(work) -> int:
    """Bytes that autograd holds after ``work``, every storage once."""
    storages: dict[int, int] = {}
    alive = []

    def pack(tensor: Tensor) -> Tensor:
        alive.append(tensor)
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        work()
    return sum(storages.values())


def trained_once(name: str, *, checkpointing: bool = False) -> tuple[int, list[Tensor | None]]:
    """Bytes that a training pass of a small method keeps, and its gradients; all draws are seeded."""
    generator = torch.Generator().manual_seed(0)
    clip = torch.rand(2, SHAPE.length, *SHAPE.frame, generator=generator)
    past, future = clip.split([SHAPE.t_in, SHAPE.t_out], dim=1)
    torch.manual_seed(0)
    plugin = METHODS.get(name)
    method = plugin.create(SHAPE, plugin.small, name).train()
    method.activation_checkpointing = checkpointing

    def losses() -> dict[str, Tensor]:
        torch.manual_seed(1)
        return method.training_losses(past, future, Progress(generator=torch.Generator().manual_seed(0)))

    kept = kept_bytes(losses)
    losses()["loss"].backward()
    return kept, [p.grad for p in method.parameters()]


def test_a_conv_at_the_end_is_not_run_again() -> None:
    first, last = nn.Conv2d(2, 3, 3), nn.Conv2d(3, 4, 3)
    x = torch.rand(1, 2, 8, 8, requires_grad=True)
    with ConvCounter() as counter:
        recompute(lambda x: last(torch.sigmoid(first(x))), x, least=0).sum().backward()
    assert counter.by_width == {3: 2, 4: 1}
    with torch.no_grad(), ConvCounter() as counter:
        recompute(first, x, least=0)
    assert counter.by_width == {3: 1}
    with ConvCounter() as counter:
        recompute(lambda x: torch.sigmoid(first(x)), x, least=x.numel() + 1).sum().backward()
    assert counter.by_width == {3: 1}


@pytest.mark.parametrize("name", ["tau", "phydnet"])
def test_blocks_recomputed_have_the_same_gradients(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("stbench.nn.recompute")
    monkeypatch.setitem(module.recompute.__kwdefaults__, "least", 0)
    kept_again, again = trained_once(name)
    monkeypatch.setitem(module.recompute.__kwdefaults__, "least", 1 << 60)
    kept_plain, plain = trained_once(name)
    assert kept_again < 0.9 * kept_plain
    torch.testing.assert_close(again, plain, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("draws", [True, False])
def test_random_numbers_are_the_same_again_when_told(draws: bool) -> None:
    x = torch.rand(64, requires_grad=True)
    masks = []

    def dropped(x: Tensor) -> Tensor:
        masks.append(torch.rand(64) < 0.5)
        return (x * masks[-1]).square()

    recompute(dropped, x, draws=draws, least=0).sum().backward()
    assert torch.equal(*masks) == draws


@pytest.mark.parametrize("name", RECURRENT)
def test_checkpointed_rollouts_keep_less_and_have_the_same_gradients(name: str) -> None:
    kept_plain, plain = trained_once(name)
    kept_again, again = trained_once(name, checkpointing=True)
    assert kept_again < 0.6 * kept_plain
    torch.testing.assert_close(again, plain, rtol=1e-6, atol=0)


def test_frames_go_in_groups_that_stay_small() -> None:
    sizes = []

    def function(x: Tensor, y: Tensor) -> Tensor:
        sizes.append(len(x))
        return x.sum((1, 2)) * y

    x, y = torch.rand(5, 1024, 1024, requires_grad=True), torch.rand(5)
    found = in_groups(function, x, y)
    assert sizes == [2, 2, 1]
    assert torch.equal(found, x.sum((1, 2)) * y)
    found.sum().backward()
    assert torch.equal(x.grad, y[:, None, None].expand_as(x))  # type: ignore[arg-type]


@pytest.mark.parametrize("frames", [1, 7])
def test_few_or_small_frames_go_together(frames: int) -> None:
    sizes = []
    in_groups(lambda x: sizes.append(len(x)) or x, torch.rand(frames, 1, 2, 2))  # type: ignore[func-returns-value]
    assert sizes == [frames]


def test_a_frame_larger_than_a_group_goes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("stbench.nn.recompute"), "GROUP", 3)
    x = torch.rand(3, 2, 2)
    assert torch.equal(in_groups(lambda part: part * 2, x), x * 2)


@pytest.mark.parametrize("name", RECURRENT)
def test_hooks_are_called_where_a_rollout_holds_most(name: str) -> None:
    method = create_method(name, SHAPE, **METHODS.get(name).small)
    calls = []
    handle = method.register_rollout_hook(lambda: calls.append(torch._C._current_graph_task_id() >= 0))
    clip = torch.rand(1, SHAPE.length, *SHAPE.frame)
    method.training_losses(clip[:, : SHAPE.t_in], clip[:, SHAPE.t_in :], Progress())["loss"].backward()
    assert calls == [False, False, True, True]
    with torch.no_grad():
        method(clip[:, : SHAPE.t_in])
    assert len(calls) == 4
    handle.remove()
    method.training_losses(clip[:, : SHAPE.t_in], clip[:, SHAPE.t_in :], Progress())["loss"].backward()
    assert len(calls) == 4
