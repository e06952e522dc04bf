"""Checks of optimisers."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn

from stbench.conformance.outcome import Check, ViolationError, check
from stbench.schema import Optimizer, Parameters

RATE = 1e-2
STEPS = 20


@dataclass(frozen=True)
class OptimizerSubject:
    """An optimiser's record with default settings, and its registered name."""

    name: str
    record: type[Optimizer]

    def built(self, seed: int = 0) -> tuple[nn.Module, torch.optim.Optimizer]:
        """Build a small network and its optimiser."""
        torch.manual_seed(seed)
        network = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.Conv2d(4, 2, 3, padding=1))
        return network, self.record().build(Parameters(network), RATE)  # type: ignore[call-arg]


def descend(network: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> list[float]:
    """Train on a fixed regression problem and return the loss of each step."""
    x_BCHW = torch.rand(4, 2, 6, 6, generator=torch.Generator().manual_seed(3))
    losses = []
    for _ in range(steps):
        loss = (network(x_BCHW) - x_BCHW.flip(1)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


@check(crash_cause="a setting has no default")
def declaration(subject: OptimizerSubject) -> None:
    """The kind is the registered name, and the settings survive serialisation."""
    record = subject.record()  # type: ignore[call-arg]
    if record.kind != subject.name:
        raise ViolationError(f"kind {subject.name!r}, as registered", f"{record.kind!r}", "the two names differ")
    if Optimizer.model_validate(record.model_dump(mode="json")) != record:
        raise ViolationError("the same record after writing and reading", "another one", "a field is not JSON-able")


@check(crash_cause="build() cannot take a method's parameters")
def parameters(subject: OptimizerSubject) -> None:
    """Every parameter is trained, once, at the given rate."""
    network, optimizer = subject.built()
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    if sorted(held) != sorted(id(p) for p in network.parameters()):
        raise ViolationError("every parameter in one group", f"{len(held)} held", "build() leaves some out")
    rates = {group["lr"] for group in optimizer.param_groups}
    if rates != {RATE}:
        raise ViolationError(f"lr {RATE} in every group", f"{sorted(rates)}", "build() does not pass lr on")


@check(crash_cause="a step fails")
def descent(subject: OptimizerSubject) -> None:
    """The optimiser lowers a loss."""
    losses = descend(*subject.built(), STEPS)
    if not losses[-1] < losses[0]:
        raise ViolationError(f"a loss below {losses[0]:.4g}", f"{losses[-1]:.4g}", "the step goes uphill or nowhere")


@check(crash_cause="state_dict() or load_state_dict() fails")
def resume(subject: OptimizerSubject) -> None:
    """The state dict is complete: resumed training repeats the losses."""
    network, optimizer = subject.built()
    descend(network, optimizer, 3)
    kept = copy.deepcopy((network.state_dict(), optimizer.state_dict()))
    expected = descend(network, optimizer, 3)
    other, resumed = subject.built(seed=1)
    other.load_state_dict(kept[0])
    resumed.load_state_dict(kept[1])
    seen = descend(other, resumed, 3)
    if seen != expected:
        raise ViolationError(f"the losses {expected}", f"{seen}", "state is kept outside state_dict()")


CHECKS: tuple[Check, ...] = (declaration, parameters, descent, resume)
