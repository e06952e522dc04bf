"""Numbers of live, dead and shared parameters."""

from __future__ import annotations

import torch
from torch import Tensor

from stbench.efficiency.records import ParameterCount
from stbench.efficiency.subject import SEED, build, by_shape
from stbench.nn import Method, Progress
from stbench.schema import RunSpec


def count_parameters(spec: RunSpec) -> ParameterCount:
    """Count the parameters of a run's method after one backward pass of its training loss."""
    return by_shape(lambda: build(spec), lambda method, clip: classify(_backward(method, clip)))


def _backward(method: Method, clip: Tensor) -> Method:
    """Run one backward pass, which gives every live parameter a gradient."""
    if method.trainable:
        past, future = clip[:, : method.shape.t_in], clip[:, method.shape.t_in :]
        progress = Progress(generator=torch.Generator().manual_seed(SEED))
        method.train().training_losses(past, future, progress)["loss"].backward()  # type: ignore[no-untyped-call]
    return method


def classify(method: torch.nn.Module) -> ParameterCount:
    """Classify parameters by whether they have a gradient and by their number of names."""
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
