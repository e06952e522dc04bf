"""Video files, decoded by PyAV where it is installed, else by imageio-ffmpeg (the extra ``video``)."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from stbench.data.formats.recording import BLOCK_FRAMES, Blocks, Frames, Recording
from stbench.errors import UserError

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".m4v")
MOST_MISSING = 5  # a container may count a few frames that no decoder gives
GREY_FORMATS = ("gray", "gray8", "y800")


def open_video(path: Path, name: str) -> Recording:
    """Open a video as one recording of RGB frames (grey ones if it has no colour).

    Raises:
        UserError: no decoder is installed, or the file cannot be read.
    """
    probe, decode = (_probe_av, _decode_av) if find_spec("av") is not None else (_probe_ffmpeg, _decode_ffmpeg)
    length, frame = probe(path)
    if length < 1:
        raise UserError(f"{path} holds no frames (cut short or damaged?).")
    return Recording(name, (path,), length, frame, np.dtype(np.uint8), partial(_blocks, path, length, frame, decode))


def _blocks(path: Path, length: int, frame: tuple[int, int, int], decode: object) -> Blocks:
    block: list[Frames] = []
    count = 0
    for picture in decode(path, frame):  # type: ignore[operator]
        block.append(picture)
        count += 1
        if len(block) == BLOCK_FRAMES:
            yield np.stack(block)
            block = []
    if count < length - MOST_MISSING:
        raise UserError(f"{path} announces {length} frames and holds {count} (cut short?). Fetch it again.")
    if block:
        yield np.stack(block)


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} cannot be read as a video (cut short or damaged?): {error}.")


def _probe_av(path: Path) -> tuple[int, tuple[int, int, int]]:
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise UserError(f"{path} holds no video stream.")
            stream = container.streams.video[0]
            grey = stream.codec_context.pix_fmt in GREY_FORMATS
            size = stream.codec_context.height, stream.codec_context.width, 1 if grey else 3
            length = stream.frames or sum(1 for packet in container.demux(stream) if packet.size)
            return length, size
    except (OSError, ValueError) as error:  # av's errors derive from these
        if isinstance(error, UserError):
            raise
        raise _unreadable(path, error) from error


def _decode_av(path: Path, frame: tuple[int, int, int]) -> Blocks:
    import av

    kind = "gray" if frame[2] == 1 else "rgb24"
    try:
        with av.open(str(path)) as container:
            container.streams.video[0].thread_type = "AUTO"
            for picture in container.decode(video=0):
                pixels = picture.to_ndarray(format=kind)
                yield pixels.reshape(*pixels.shape[:2], frame[2])
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _ffmpeg() -> object:
    if find_spec("imageio_ffmpeg") is None:
        raise UserError("Reading videos needs a decoder: pip install 'stbench[video]'.")
    import imageio_ffmpeg

    return imageio_ffmpeg


def _probe_ffmpeg(path: Path) -> tuple[int, tuple[int, int, int]]:
    ffmpeg = _ffmpeg()
    try:
        reader = ffmpeg.read_frames(str(path))  # type: ignore[attr-defined]
        width, height = next(reader)["size"]
        reader.close()
        length, _ = ffmpeg.count_frames_and_secs(str(path))  # type: ignore[attr-defined]
    except (OSError, RuntimeError, StopIteration) as error:
        raise _unreadable(path, error) from error
    return length, (height, width, 3)


def _decode_ffmpeg(path: Path, frame: tuple[int, int, int]) -> Blocks:
    try:
        reader = _ffmpeg().read_frames(str(path), pix_fmt="rgb24")  # type: ignore[attr-defined]
        next(reader)
        for raw in reader:
            yield np.frombuffer(raw, dtype=np.uint8).reshape(frame)
    except (OSError, RuntimeError) as error:
        raise _unreadable(path, error) from error
