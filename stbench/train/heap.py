"""glibc's heap, tuned for training on the CPU: keep large freed blocks for reuse, return unused pages."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_KEPT_BLOCK = 1 << 30
_MOST_UNUSED = 1 << 26
"""Bytes that may lie unused in gaps of the heap."""


def keep_large_blocks() -> None:
    """Let glibc reuse large freed blocks; returned to the kernel, each would cost its page faults again."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BLOCK)
            libc.mallopt(_M_TRIM_THRESHOLD, _LARGEST_KEPT_BLOCK)


class _HeapState(ctypes.Structure):
    """What glibc's ``mallinfo2`` tells, in bytes."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in [
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        ]
    ]


def release_unused() -> None:
    """Return the heap's free pages to the kernel where they are many: :func:`keep_large_blocks` leaves gaps."""
    if _HEAP is not None and _HEAP.mallinfo2().fordblks > _MOST_UNUSED:
        _HEAP.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    """The C library where it is glibc 2.33 or newer."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        return None
    libc.mallinfo2.restype = _HeapState
    return libc


_HEAP = _glibc()
