"""Subnormal numbers are zero while an engine computes on a CPU, in all of torch's threads, and nowhere else."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from stbench.nn import Progress
from stbench.train.engine import Engine
from stbench.train.subnormals import subnormals_as_zero
from tests.train.tiny import SHAPE, Blend

SMALL = 1e-40
supported = pytest.mark.skipif(not torch.set_flush_denormal(False), reason="this processor cannot take them as zero")


def kept(count: int = 1) -> int:
    """How many of some subnormal numbers survive an operation."""
    return int((torch.full((count,), SMALL) * 1.0).view(torch.int32).count_nonzero())


@supported
def test_they_are_zero_inside_only() -> None:
    with subnormals_as_zero():
        assert not kept()
        with subnormals_as_zero():
            pass
        assert not kept(), "an inner block must leave the outer one's choice"
    assert kept()


@supported
def test_an_error_inside_gives_them_back() -> None:
    with pytest.raises(ZeroDivisionError), subnormals_as_zero():
        raise ZeroDivisionError
    assert kept()


@supported
def test_a_caller_who_has_chosen_keeps_the_choice() -> None:
    torch.set_flush_denormal(True)
    try:
        with subnormals_as_zero():
            pass
        assert not kept()
    finally:
        torch.set_flush_denormal(False)


@supported
def test_all_threads_of_an_engine_s_process_take_them_as_zero() -> None:
    code = f"""
import torch
torch.set_num_threads(3)
from stbench.train.engine import Engine
from stbench.train.subnormals import subnormals_as_zero
Engine("cpu")
many = torch.full((1 << 20,), {SMALL})
with subnormals_as_zero():
    product = many * 1.0
print(int(product.view(torch.int32).count_nonzero()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0"], done.stderr


@supported
def test_steps_and_predictions_take_them_as_zero() -> None:
    engine = Engine("cpu")
    method = engine.place(Blend(SHAPE, Blend.Config()))
    seen: list[int] = []
    method.register_forward_pre_hook(lambda *_: seen.append(kept()))
    clip = torch.rand(2, SHAPE.t_in + SHAPE.t_out, SHAPE.channels, SHAPE.height, SHAPE.width)
    engine.predict(method, clip[:, : SHAPE.t_in])
    module = engine.wrap(method, torch.optim.SGD(method.parameters(), lr=0.1))
    module.step(clip, Progress(generator=torch.Generator()), accumulate=1, clip_norm=None)
    assert seen
    assert not any(seen)
    assert kept()
