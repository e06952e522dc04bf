"""The device's own matrix peak, measured: square products in the precision that the method runs in."""

from __future__ import annotations

from collections.abc import Callable

import torch

from stbench.efficiency.sampling import Spread

_SIDES = {"cpu": 2048, "cuda": 8192}
_TYPES = {"32": torch.float32, "bf16": torch.bfloat16}


def matrix_product(device: torch.device, precision: str) -> Callable[[], object]:
    """Work that multiplies two square matrices; time it, then ask :func:`flops_per_second`."""
    side = _SIDES[device.type]
    left, right = (torch.ones(side, side, device=device, dtype=_TYPES[precision]) for _ in range(2))
    out = torch.empty_like(left)

    def multiply() -> torch.Tensor:
        with torch.inference_mode():
            return torch.mm(left, right, out=out)

    return multiply


def flops_per_second(seconds: Spread, device: torch.device) -> float:
    """Speed of the median product, 2·side³ FLOPs each."""
    return float(2 * _SIDES[device.type] ** 3 / seconds.p50)
