"""File formats: videos, folders of pictures, arrays, HDF5 and NetCDF files and others, opened as recordings.

A recording is a run of frames from one place. Axes: T time, H height, W width, C channels.

The names below load on first use: looking for files must not import the libraries that read them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stbench.lazy import lazy_names

if TYPE_CHECKING:
    from stbench.data.formats.open import SUFFIXES, open_recordings
    from stbench.data.formats.recording import Blocks, Frames, Recording, natural

__all__ = ["SUFFIXES", "Blocks", "Frames", "Recording", "natural", "open_recordings"]
__getattr__, __dir__ = lazy_names(
    __name__, {".open": ("SUFFIXES", "open_recordings"), ".recording": ("Blocks", "Frames", "Recording", "natural")}
)
