"""An exponential moving average of a method's weights (Polyak & Juditsky, 1992), exact when training resumes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from stbench.nn import Method


class WeightAverage:
    """Average the floating-point tensors of a method's state dict, with buffers; copy all others.

    The decay of update n (from 0) is min(decay, (1 + n)/(10 + n)), as TensorFlow's ExponentialMovingAverage with
    ``num_updates``, so that initial weights do not dominate short training.

    Args:
        method: a method on its device; its weights are read at every update.
        decay: between 0 and 1, e.g. 0.999.
    """

    def __init__(self, method: Method, decay: float) -> None:
        self._method = method
        self._decay = decay
        self.updates = 0
        self.tensors = {name: tensor.detach().clone() for name, tensor in method.state_dict().items()}

    @torch.no_grad()
    def update(self) -> None:
        """Update the average with the weights after an optimiser step."""
        averages: list[Tensor] = []
        currents: list[Tensor] = []
        for name, current in self._method.state_dict().items():
            if current.is_floating_point():
                averages.append(self.tensors[name])
                currents.append(current)
            else:
                self.tensors[name].copy_(current)
        decay = min(self._decay, (1 + self.updates) / (10 + self.updates))
        get_ema_multi_avg_fn(decay)(averages, currents, self.updates)  # type: ignore[no-untyped-call]
        self.updates += 1

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Set the averaged weights within a block."""
        trained = {name: tensor.detach().clone() for name, tensor in self._method.state_dict().items()}
        self.apply()
        try:
            yield
        finally:
            self._method.load_state_dict(trained)

    def apply(self) -> None:
        """Set the averaged weights permanently."""
        self._method.load_state_dict(self.tensors)

    def state(self) -> dict[str, Any]:
        """Return the state for a resume point."""
        return {"updates": self.updates, "tensors": self.tensors}

    def load(self, state: dict[str, Any]) -> None:
        """Restore the result of :meth:`state`.

        Raises:
            KeyError: the state is of another method, or of training without an average.
        """
        self.updates = state["updates"]
        for name, tensor in self.tensors.items():
            tensor.copy_(state["tensors"][name])
