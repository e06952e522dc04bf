"""File formats: videos, folders of pictures, arrays, HDF5 and NetCDF files and others, opened as recordings.

A recording is a run of frames from one place. Axes: T time, H height, W width, C channels.
"""

from stbench.data.formats.open import SUFFIXES, open_recordings
from stbench.data.formats.recording import Blocks, Frames, Recording, natural

__all__ = ["SUFFIXES", "Blocks", "Frames", "Recording", "natural", "open_recordings"]
