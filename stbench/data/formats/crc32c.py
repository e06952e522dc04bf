"""The Castagnoli checksum (RFC 3720, B.4) of long contents, with NumPy: strips side by side, then combined.

A checksum is linear over GF(2): the state after A and B is the state after A moved on by len(B) zero bytes, xor the
state of B from 0.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

POLYNOMIAL = 0x82F63B78
STRIPS = 512
States = npt.NDArray[np.uint32]


def _table() -> States:
    states = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        states = np.where(states & 1, (states >> 1) ^ np.uint32(POLYNOMIAL), states >> 1).astype(np.uint32)
    return states


TABLE = _table()
STEPS = TABLE.tolist()


def crc32c(content: bytes) -> int:
    """Return the checksum of bytes.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    length = len(content) // STRIPS
    head = len(content) - length * STRIPS
    state = 0xFFFFFFFF
    for byte in content[:head]:
        state = STEPS[(state ^ byte) & 255] ^ (state >> 8)
    if length:
        strips = np.frombuffer(content, dtype=np.uint8, offset=head).reshape(STRIPS, length)
        states = np.zeros(STRIPS, dtype=np.uint32)
        for column in strips.T.copy():
            states = TABLE[(states ^ column) & 255] ^ (states >> 8)
        on = _moved_on(length)
        for own in states.tolist():
            state = on[0][state & 255] ^ on[1][state >> 8 & 255] ^ on[2][state >> 16 & 255] ^ on[3][state >> 24] ^ own
    return state ^ 0xFFFFFFFF


@lru_cache(maxsize=16)
def _moved_on(length: int) -> list[list[int]]:
    """For each byte of a state, the state after ``length`` zero bytes."""
    states = (np.arange(256, dtype=np.uint32)[None] << (8 * np.arange(4, dtype=np.uint32))[:, None]).astype(np.uint32)
    for _ in range(length):
        states = TABLE[states & 255] ^ (states >> 8)
    return states.tolist()  # type: ignore[no-any-return]
