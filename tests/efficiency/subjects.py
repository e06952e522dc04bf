"""Methods of known cost, and their runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from stbench.nn import METHODS, Method, MethodConfig
from stbench.schema import ClipShape, RunSpec
from stbench.sweep.plan import Request, make_plan

SHAPE = ClipShape(t_in=2, t_out=2, channels=1, height=8, width=8)


def planned(*methods: str, benchmark: str = "taxibj", protocol: str = "paper") -> list[RunSpec]:
    """Runs as the command line would plan them."""
    specs = make_plan(Request(methods=methods, benchmark=benchmark, protocol=protocol)).specs
    return [spec for spec in specs if spec.method in methods]


@contextmanager
def registered(name: str, method: type[Method]) -> Iterator[RunSpec]:
    """A method under a name for a while, with a run of it."""
    METHODS._loaded[name] = method
    template = planned("tau", protocol="quick")[0]
    try:
        yield template.model_copy(update={"method": name, "plugin": name, "config": {}, "shape": SHAPE})
    finally:
        del METHODS._loaded[name]


class Sleeper(Method):
    """Sleeps a known time in its encoder, in itself and in its decoder."""

    ENCODER, TEMPORAL, DECODER = 0.01, 0.03, 0.02

    class Nap(nn.Module):
        def __init__(self, seconds: float) -> None:
            super().__init__()
            self.seconds = seconds

        def forward(self, x: Tensor) -> Tensor:
            time.sleep(self.seconds)
            return x

    def __init__(self, shape: ClipShape, config: MethodConfig) -> None:
        super().__init__(shape, config)
        self.encoder, self.decoder = self.Nap(self.ENCODER), self.Nap(self.DECODER)
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, past: Tensor) -> Tensor:
        x = self.encoder(past * self.weight)
        time.sleep(self.TEMPORAL)
        return self.decoder(x)


class Glutton(Sleeper):
    """Asks for more memory than any machine has, beyond batch 1."""

    ENCODER = TEMPORAL = DECODER = 0.0

    def forward(self, past: Tensor) -> Tensor:
        if past.shape[0] > 1:
            torch.empty(1 << 60, dtype=torch.uint8)
        return super().forward(past)


class Untidy(Method):
    """A live weight, a shared one under two names, and one that nothing uses."""

    def __init__(self, shape: ClipShape, config: MethodConfig) -> None:
        super().__init__(shape, config)
        self.first = nn.Conv2d(2, 2, 3, padding=1, bias=False)
        self.second = nn.Conv2d(2, 2, 3, padding=1, bias=False)
        self.third = nn.Conv2d(2, 2, 1, bias=False)
        self.second.weight = self.first.weight
        self.relic = nn.Linear(5, 7)

    def forward(self, past: Tensor) -> Tensor:
        return self.third(self.second(self.first(past[:, :, 0])))[:, :, None]
