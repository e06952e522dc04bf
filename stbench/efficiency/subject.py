"""A method as a run's spec defines it, and inputs for it. Axes: B, T, C, H, W."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from stbench.errors import UserError
from stbench.nn import METHODS, Method
from stbench.schema import ClipShape, RunSpec

SEED = 0
Answer = TypeVar("Answer")


def build(spec: RunSpec, shape: ClipShape | None = None) -> Method:
    """Build the method of a run with new weights; ``shape`` overrides the benchmark's.

    Raises:
        UserError: the shape does not fit the method.
    """
    torch.manual_seed(SEED)
    return METHODS.get(spec.plugin).create(shape or spec.shape, spec.config, spec.method)


def random_clip(shape: ClipShape, batch: int, device: torch.device | None = None) -> Tensor:
    """Return uniform noise in [0, 1), (batch, T_in+T_out, C, H, W); the cost does not depend on values."""
    clip = torch.rand(batch, shape.length, *shape.frame, generator=torch.Generator().manual_seed(SEED))
    return clip.to(device) if device is not None else clip


def by_shape(make: Callable[[], Method], ask: Callable[[Method, Tensor], Answer]) -> Answer:
    """Evaluate a function of shapes on the method that ``make`` builds and one clip for it.

    Uses torch's "meta" device, which computes nothing; a method that reads values runs on the CPU instead. Restores
    torch's random state.
    """
    try:
        return _on("meta", make, ask)
    except (NotImplementedError, RuntimeError, TypeError, UserError):
        return _on("cpu", make, ask)


def _on(device: str, make: Callable[[], Method], ask: Callable[[Method, Tensor], Answer]) -> Answer:
    with torch.random.fork_rng(devices=[]):
        with torch.device(device):
            method = make()
        return ask(method, random_clip(method.shape, 1, torch.device(device)))
