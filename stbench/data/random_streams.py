"""Vectorised random access to random streams: SplitMix64 (Steele, Lea & Flood, OOPSLA 2014).

The n-th number of a stream is mix(key + n·γ), so clip ``i`` gets its numbers without drawing those before it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]

GAMMA = 0x9E3779B97F4A7C15
MIX = (30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)
LAST_SHIFT = 31
MANTISSA_BITS = 53


def stream_key(*parts: int) -> int:
    """Return a 64-bit key for non-negative integers (seed, split, epoch, …)."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0])


def uniforms(key: int, indices: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.float64]:
    """Return numbers (B, count) in [0, 1): row b has places indices[b]·count … + count-1 of the stream ``key``."""
    rows: Words = indices.astype(np.uint64)[:, None]
    places: Words = rows * np.uint64(count) + np.arange(1, count + 1).astype(np.uint64)
    bits: Words = places * np.uint64(GAMMA) + np.uint64(key)  # wraps around at 64 bits, as in the generator
    for shift, factor in MIX:
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    bits = bits ^ (bits >> np.uint64(LAST_SHIFT))
    return (bits >> np.uint64(64 - MANTISSA_BITS)).astype(np.float64) * 2.0**-MANTISSA_BITS
