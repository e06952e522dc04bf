"""Video files, decoded by PyAV if it is installed, else by imageio-ffmpeg (the extra ``video``).

The rotation in the container is applied. Grey of more than 8 bits keeps the file's own numbers, as float32.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from stbench.data.formats.guard import check_pixels, readable
from stbench.data.formats.listing import regular_file
from stbench.data.formats.recording import BLOCK_FRAMES, Blocks, Frames, Recording
from stbench.errors import UserError

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".m4v")
MOST_MISSING = 5  # a container may count a few frames that no decoder returns
DEEP_GREY = re.compile(r"gray(9|10|12|14|16)(le|be)")
GREY = re.compile(r"(gray|gray8|y800|ya8|ya16[lb]e|monow|monob)$|gray\d")
CONTAINERS = "mov,avi,matroska,mpeg,mpegts,mpegvideo,m4v,asf,flv,ogg"  # no playlists, which open other files
EVERY_FRAME = ["-fps_mode", "passthrough"]  # once each, as PyAV gives them
UNEVEN = 1.5  # ratio of the longest to the shortest time step that is reported as uneven
OPTIONS = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}


@dataclass(frozen=True)
class Probed:
    """Facts about a video known before decoding.

    Attributes:
        length: frames as the container counts them.
        height, width: of an upright frame.
        pix_fmt: FFmpeg's name of the pixel format.
        decoder: decoding program and version; two decoders may differ in the last digits.
        note: text if frames are unevenly spaced in time, else empty.
    """

    length: int
    height: int
    width: int
    pix_fmt: str
    decoder: str
    note: str = ""

    @property
    def frame(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return self.height, self.width, 1 if GREY.match(self.pix_fmt) else 3

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8, float32 for deeper grey."""
        return np.dtype(np.float32 if DEEP_GREY.match(self.pix_fmt) else np.uint8)


def open_video(path: Path, name: str) -> Recording:
    """Open a video as one recording of RGB frames (grey frames if it has no colour).

    Raises:
        UserError: no decoder is installed, or the file cannot be read.
    """
    regular_file(path)
    probe, decode = (_probe_av, _decode_av) if find_spec("av") is not None else (_probe_ffmpeg, _decode_ffmpeg)
    with readable(path, "a video"):
        seen = probe(path)
    if seen.length < 1:
        raise UserError(f"{path} holds no frames (cut short or damaged?).")
    check_pixels(path, seen.height, seen.width)
    blocks = partial(_blocks, path, seen, decode)
    facts = {"times": "a video holds no dates"} | ({"frames": seen.note} if seen.note else {})
    return Recording(name, (path,), seen.length, seen.frame, seen.dtype, blocks, facts=facts, variant=seen.decoder)


def _blocks(path: Path, seen: Probed, decode: Callable[[Path, Probed], Iterator[Frames]]) -> Blocks:
    block: list[Frames] = []
    count = 0
    for pixels in decode(path, seen):
        if pixels.shape[:2] != seen.frame[:2]:
            raise UserError(
                f"{path}: frame {count} is {pixels.shape[0]}×{pixels.shape[1]}, those before it {seen.height}×"
                f"{seen.width}. Cut the video where its size changes."
            )
        block.append(pixels.reshape(seen.frame).astype(seen.dtype, copy=False))
        count += 1
        if len(block) == BLOCK_FRAMES:
            yield np.stack(block)
            block = []
    if count < seen.length - MOST_MISSING or not count:
        raise UserError(f"{path} announces {seen.length} frames and holds {count} (cut short?). Fetch it again.")
    if block:
        yield np.stack(block)


def _probe_av(path: Path) -> Probed:
    import av

    with av.open(str(path), options=OPTIONS) as container:
        if not container.streams.video:
            raise UserError(f"{path} holds no video stream.")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise UserError(f"{path} names no codec that the decoder knows (cut short?). Fetch it again or convert it.")
        times = _times(container, stream)
        length = stream.frames or len(times)
        if not stream.frames:
            _check_duration(path, container, stream, times)
    with av.open(str(path), options=OPTIONS) as container:
        container.streams.video[0].codec_context.thread_count = 1
        first = next(container.decode(video=0), None)
        if first is None:
            raise UserError(f"{path} holds no frames (cut short or damaged?).")
        height, width = (first.height, first.width) if not _quarters(path, first) % 2 else (first.width, first.height)
        version = ".".join(map(str, av.library_versions["libavcodec"]))
        return Probed(
            length, height, width, first.format.name, f"PyAV {av.__version__} libavcodec {version}", _unevenness(times)
        )


def _times(container: Any, stream: Any) -> list[float]:
    """Return the presentation times of the packets in seconds, in order; 0 if a packet has none."""
    shown = [packet for packet in container.demux(stream) if packet.size]
    return sorted(float(packet.pts * packet.time_base) if packet.pts is not None else 0.0 for packet in shown)


def _check_duration(path: Path, container: Any, stream: Any, times: list[float]) -> None:
    """Compare the frames with the announced duration, for a container that does not count frames."""
    if times and container.duration and stream.average_rate and len(container.streams) == 1:
        announced = container.duration / 1e6 * float(stream.average_rate)
        covered = times[-1] * float(stream.average_rate) + 1
        if covered < announced - MOST_MISSING:
            raise UserError(
                f"{path} announces {announced:.0f} frames and holds {covered:.0f} (cut short?). Fetch it again."
            )


def _unevenness(times: list[float]) -> str:
    steps = np.diff(times)
    steps = steps[steps > 0]
    if not len(steps) or steps.max() < UNEVEN * steps.min():
        return ""
    return f"frames are unevenly spaced in time, {steps.min():.3g} to {steps.max():.3g} s, and taken as evenly spaced"


def _quarters(path: Path, picture: Any) -> int:
    """Return how many counter-clockwise quarter turns make a frame upright."""
    turns = float(getattr(picture, "rotation", 0)) / 90
    if not turns.is_integer():
        raise UserError(f"{path} is turned by {turns * 90:g} degrees in its metadata. Convert it upright.")
    return int(turns) % 4


def _decode_av(path: Path, seen: Probed) -> Iterator[Frames]:
    import av

    deep = DEEP_GREY.match(seen.pix_fmt)
    with (
        readable(path, "a video"),
        _complaints(path) as check,
        av.open(str(path), options=OPTIONS) as container,
    ):
        # one thread: messages of other threads need Python's lock, which may be held by who waits for those threads
        container.streams.video[0].codec_context.thread_count = 1
        for picture in container.decode(video=0):
            check()
            if picture.is_corrupt:
                raise UserError(f"{path} is damaged near {picture.time:.2f} s: frames are incomplete. Fetch it again.")
            if deep:
                pixels = _plane(picture, deep[2])
            else:
                pixels = picture.to_ndarray(format="gray" if seen.frame[2] == 1 else "rgb24")
            yield np.rot90(pixels, _quarters(path, picture))
        check()


@contextmanager
def _complaints(path: Path) -> Iterator[Callable[[], None]]:
    """Give a function that raises if the decoder reported damage, which it conceals and decodes on."""
    from av import logging

    before = logging.get_level()
    logging.set_level(logging.ERROR)
    try:
        with logging.Capture(local=False) as said:

            def check() -> None:
                if said:
                    text = " ".join(str(said[0][2]).split())
                    raise UserError(f"{path} is damaged, the decoder says {text!r}. Fetch it again, or re-encode it.")

            yield check
    finally:
        logging.set_level(before)


def _plane(picture: Any, order: str) -> Frames:
    """Return the 16-bit values of a grey frame (H, W)."""
    plane = picture.planes[0]
    rows = np.frombuffer(bytes(plane), dtype="<u2" if order == "le" else ">u2").reshape(-1, plane.line_size // 2)
    return rows[: picture.height, : picture.width]


def _ffmpeg() -> Any:
    if find_spec("imageio_ffmpeg") is None:
        raise UserError("Reading videos needs a decoder: pip install 'stbench[video]'.")
    import imageio_ffmpeg

    return imageio_ffmpeg


def _input_options() -> list[str]:
    return [part for key, value in OPTIONS.items() for part in (f"-{key}", value)]


def _probe_ffmpeg(path: Path) -> Probed:
    ffmpeg = _ffmpeg()
    reader = ffmpeg.read_frames(str(path), input_params=_input_options())
    try:
        known = next(reader)
    finally:
        reader.close()
    width, height = known["size"]
    length, _ = ffmpeg.count_frames_and_secs(str(path))
    pix_fmt = re.split(r"[^0-9a-z]", known.get("pix_fmt", ""))[0]
    return Probed(length, height, width, pix_fmt, f"ffmpeg {ffmpeg.get_ffmpeg_version()}")


def _check_ffmpeg(path: Path) -> None:
    """Decode a video once to read the decoder's messages: the pipe of frames does not report concealed damage."""
    command = [_ffmpeg().get_ffmpeg_exe(), "-v", "error", *_input_options(), "-i", str(path), "-map", "0:v:0"]
    done = subprocess.run(
        [*command, "-f", "null", "-"], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
    )
    if done.returncode or done.stderr.strip():
        text = (done.stderr.strip().splitlines() or ["nothing"])[0]
        raise UserError(f"{path} is damaged, the decoder says {text!r}. Fetch it again, or re-encode it.")


def _decode_ffmpeg(path: Path, seen: Probed) -> Iterator[Frames]:
    deep = DEEP_GREY.match(seen.pix_fmt)
    form, bits = ("gray16le", 16) if deep else ("gray", 8) if seen.frame[2] == 1 else ("rgb24", 24)
    with readable(path, "a video"):
        _check_ffmpeg(path)
        reader = _ffmpeg().read_frames(
            str(path), pix_fmt=form, bits_per_pixel=bits, input_params=_input_options(), output_params=EVERY_FRAME
        )
        next(reader)
        for raw in reader:
            pixels = np.frombuffer(raw, dtype="<u2" if deep else np.uint8).reshape(seen.frame)
            yield pixels >> (16 - int(deep[1])) if deep else pixels  # ffmpeg widens to 16 bits by shifting
