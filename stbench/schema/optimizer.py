"""The contract of an optimiser plugin (entry-point group ``stbench.optimizers``). Imports no torch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from stbench.registry import Registry
from stbench.schema.plugin import PluginRecord, record_check

if TYPE_CHECKING:
    import torch
    from torch import nn


class Parameters:
    """The parameters of a method in the order of its modules; iterating yields tensors, as torch's optimisers expect.

    Args:
        module: the placed method.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __iter__(self) -> Iterator[nn.Parameter]:
        return self.module.parameters()

    def named(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Return name and tensor of each parameter."""
        return self.module.named_parameters()

    def split_by_decay(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Split parameters into those with weight decay and those without.

        Without decay are parameters called ``bias``, those with fewer than two axes, and those of normalisations
        (modules with "Norm" in their class name). They set offsets and scales; shrinking them does not regularise.
        """
        spared = {
            id(parameter)
            for module in self.module.modules()
            for name, parameter in module.named_parameters(recurse=False)
            if parameter.ndim < 2 or name == "bias" or "norm" in type(module).__name__.lower()
        }
        decayed = [parameter for parameter in self if id(parameter) not in spared]
        return decayed, [parameter for parameter in self if id(parameter) in spared]


class Optimizer(PluginRecord):
    """Settings of an optimiser. A plugin adds fields and implements :meth:`build`."""

    registry: ClassVar[Registry[type[Optimizer]]]
    default_kind = "adam"

    @abstractmethod
    def build(self, parameters: Parameters, lr: float) -> torch.optim.Optimizer:
        """Build the optimiser of a method's parameters; a schedule sets the learning rate before every step."""


OPTIMIZERS: Registry[type[Optimizer]] = Registry("optimizer", "stbench.optimizers", record_check(Optimizer))
Optimizer.registry = OPTIMIZERS
