"""Measured peak of the device: the fastest of several matrix products and convolutions in a given precision."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import prod

import torch

from stbench.efficiency.records import Spread

_TYPES = {"32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Probe:
    """A dense operation to time, and its FLOPs."""

    name: str
    flops: float
    run: Callable[[], object]


def probes(device: torch.device, precision: str) -> list[Probe]:
    """Return matrix products and convolutions, the fastest of which defines the device's peak.

    Several are needed: libraries differ in whether matrix products or convolutions run faster.

    Args:
        precision: "32" or "bf16".
    """
    scale = 1 if device.type == "cpu" else 4
    products = [(side * scale,) * 3 for side in (1024, 2048)] + [(4096 * scale, 512 * scale, 512 * scale)]
    convolutions = [(16 * scale, 128, 512, 16, 5), (16 * scale, 256, 256, 16, 3), (16 * scale, 64, 64, 32, 3)]
    dtype = _TYPES[precision]
    return [
        *(_matrix_product(*sizes, device, dtype) for sizes in products),
        *(_convolution(*sizes, device, dtype) for sizes in convolutions),
    ]


def peak_flops(probes: Iterable[Probe], seconds: dict[str, Spread]) -> float:
    """Return the floating-point operations per second of the fastest probe, by its best time."""
    return max(probe.flops / seconds[probe.name].best for probe in probes)


def _matrix_product(rows: int, inner: int, columns: int, device: torch.device, dtype: torch.dtype) -> Probe:
    left, right = _random(rows, inner, device=device, dtype=dtype), _random(inner, columns, device=device, dtype=dtype)
    out = torch.empty(rows, columns, device=device, dtype=dtype)

    def multiply() -> torch.Tensor:
        with torch.inference_mode():
            return torch.mm(left, right, out=out)

    return Probe(f"product {rows}×{inner}×{columns}", 2.0 * rows * inner * columns, multiply)


def _convolution(
    batch: int, c_in: int, c_out: int, side: int, kernel: int, device: torch.device, dtype: torch.dtype
) -> Probe:
    x = _random(batch, c_in, side, side, device=device, dtype=dtype).to(memory_format=torch.channels_last)
    weight = _random(c_out, c_in, kernel, kernel, device=device, dtype=dtype).to(memory_format=torch.channels_last)

    def convolve() -> torch.Tensor:
        with torch.inference_mode():
            return torch.conv2d(x, weight, padding=kernel // 2)

    flops = 2.0 * prod((batch, side, side, c_in, c_out, kernel, kernel))
    return Probe(f"conv {kernel}×{kernel}, {c_in}→{c_out}, {batch}×{side}×{side}", flops, convolve)


def _random(*shape: int, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Return noise; on some devices products of constants run at a higher clock than those of real data."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*shape, generator=generator).to(device=device, dtype=dtype)
