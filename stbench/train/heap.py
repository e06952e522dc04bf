"""glibc's heap, tuned for training on the CPU: keep large freed blocks for reuse, return unused pages."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_KEPT_BLOCK = 1 << 30
_MOST_UNUSED = 1 << 26
"""Maximum number of unused bytes in gaps of the heap."""


def keep_large_blocks() -> None:
    """Let glibc reuse large freed blocks, which saves the page faults of new ones."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BLOCK)
            libc.mallopt(_M_TRIM_THRESHOLD, _LARGEST_KEPT_BLOCK)


class _HeapState(ctypes.Structure):
    """Result of glibc's ``mallinfo2``, in bytes."""

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
    """Return free heap pages to the kernel if there are many, since :func:`keep_large_blocks` leaves gaps."""
    if _HEAP is not None and _HEAP.mallinfo2().fordblks > _MOST_UNUSED:
        _HEAP.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    """Return the C library if it is glibc 2.33 or newer, else None."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        return None
    libc.mallinfo2.restype = _HeapState
    return libc


_HEAP = _glibc()
