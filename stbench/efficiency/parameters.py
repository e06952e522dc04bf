"""Which parameters a method has, and which of them nothing depends on."""

from __future__ import annotations

import torch
from torch import Tensor

from stbench.efficiency.subject import SEED, build, by_shape
from stbench.nn import Method, Progress
from stbench.schema import Record, RunSpec


class ParameterCount(Record):
    """Numbers of trainable values, every tensor once.

    ``live`` ones get a gradient from the training loss; ``dead`` ones do not (``dead_names``); ``shared`` ones are
    live ones that the module tree holds under several names (``shared_names``, the first of each).
    """

    live: int
    dead: int
    shared: int
    dead_names: tuple[str, ...] = ()
    shared_names: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """What a plain count of the parameters says."""
        return self.live + self.dead


def count_parameters(spec: RunSpec) -> ParameterCount:
    """Count a run's method after one backward pass of its training loss (only which gradients exist matters)."""
    return by_shape(lambda: build(spec), lambda method, clip: classify(_backward(method, clip)))


def _backward(method: Method, clip: Tensor) -> Method:
    """Give every live parameter a gradient."""
    if method.trainable:
        past, future = clip[:, : method.shape.t_in], clip[:, method.shape.t_in :]
        progress = Progress(generator=torch.Generator().manual_seed(SEED))
        method.train().training_losses(past, future, progress)["loss"].backward()  # type: ignore[no-untyped-call]
    return method


def classify(method: torch.nn.Module) -> ParameterCount:
    """Sort parameters by whether they have a gradient and how many names they have."""
    trainable = {name: p for name, p in method.named_parameters() if p.requires_grad}
    names = [id(p) for _, p in method.named_parameters(remove_duplicate=False)]
    dead = {name: p.numel() for name, p in trainable.items() if p.grad is None}
    shared = {name: p.numel() for name, p in trainable.items() if name not in dead and names.count(id(p)) > 1}
    return ParameterCount(
        live=sum(p.numel() for p in trainable.values()) - sum(dead.values()),
        dead=sum(dead.values()),
        shared=sum(shared.values()),
        dead_names=tuple(dead),
        shared_names=tuple(shared),
    )
