"""Detection of clips with equal content in two splits, by hashes of frames.

Axes: F cached frames, N windows, T frames of a window.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from stbench.data.formats.recording import Frames
from stbench.data.splits.windows import Windows

Contents = npt.NDArray[np.int64]

FLAT = 0  # id of all constant frames, which cannot identify their source


def frame_contents(frames_FCHW: Frames) -> Contents:
    """Return a number per frame (F,), equal for equal contents (64 bits of BLAKE2b); ``FLAT`` if it is constant."""
    found = np.empty(len(frames_FCHW), dtype=np.int64)
    for number, frame in enumerate(frames_FCHW):
        flat = bool((frame == frame.flat[0]).all())
        digest = hashlib.blake2b(frame.tobytes(), digest_size=8).digest()
        found[number] = FLAT if flat else int.from_bytes(digest, "little", signed=True)
    return found


def shared_clips(contents_F: Contents, one_NT: Windows, other_NT: Windows) -> int:
    """Count the clips of the other split whose frames occur consecutively in the first split.

    Clips that hardly change (fewer than two different frames that are not constant) are ignored: nights without a taxi
    and hours without rain are equal without being copies.
    """
    length = other_NT.shape[1]
    known = {_digest(clip) for clip in contents_F[one_NT]}
    used_F = contents_F[np.unique(one_NT)]
    if len(used_F) >= length:  # at any frame, not only at the starts of clips
        known |= {_digest(run) for run in np.lib.stride_tricks.sliding_window_view(used_F, length)}
    return sum(_tells(clip) and _digest(clip) in known for clip in contents_F[other_NT])


def _digest(clip_T: Contents) -> bytes:
    return hashlib.blake2b(clip_T.tobytes(), digest_size=16).digest()


def _tells(clip_T: Contents) -> bool:
    return len(np.unique(clip_T[clip_T != FLAT])) > 1
