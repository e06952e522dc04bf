"""Small images moving on a black canvas (Srivastava et al., ICML 2015, "Moving MNIST"), generated on demand.

A clip depends only on (seed, split, epoch, index): its random numbers come from its place in a counter-based stream.
Any worker can therefore draw any batch of clips, in any order.

Axes: B batch, G glyphs of a clip, T time, C = 1, H, W canvas; h, w glyph, S pixels of a glyph's strip.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor

from stbench.data.benchmarks.folders import find_files, missing_files_error
from stbench.data.dataset import DatasetContext, Indices, Reader, ReaderOptions, Split, Splits
from stbench.data.random_streams import stream_key, uniforms
from stbench.data.readers.moving_images.backgrounds import Backgrounds, over_scenes, read_backgrounds
from stbench.data.readers.moving_images.glyphs import Glyphs, Images, digits
from stbench.data.readers.moving_images.idx_glyphs import check_content, read_idx_glyphs
from stbench.data.readers.moving_images.noise import Noise
from stbench.data.readers.moving_images.sequence_file import SequenceFile
from stbench.errors import UserError
from stbench.files import file_hash
from stbench.schema import ClipShape

GENERATOR_VERSION = 1
DRAWS_PER_GLYPH = 4  # glyph, start y, start x, direction
FILE_OPTIONS = {"files", "folders", "md5", "val_images", "test_file", "source"}
LATER = {"motion": "reflect", "noise": None, "noisy": ("train", "val", "test"), "backgrounds": None}
"""Options added later, with the values under which clips and their fingerprint do not change."""
STREAMS = {"train": 0, "val": 1, "test": 2}

Floats = npt.NDArray[np.float64]
Motion = Literal["reflect", "clamp"]
SplitName = Literal["train", "val", "test"]


class MovingImagesOptions(ReaderOptions):
    """Glyphs, motion, and number of clips of each split.

    Attributes:
        glyphs: ``digits`` are scikit-learn's bundled ones, ``idx`` those of two files, training and test images.
        glyph_size: height and width of an image in pixels.
        per_clip: images in a clip.
        speed: distance moved per frame, as a share of the free range (canvas minus glyph).
        motion: rule at a wall. ``clamp`` is that of the public generator and test clips: the image stays at the wall
            for one frame, and one step is taken before the first frame. ``reflect`` folds the straight line back and
            starts at the drawn position.
        train_clips: clips of one training epoch; they differ between epochs.
        val_clips: validation clips, the same in every epoch.
        test_clips: test clips, fixed as well.
        seed: seed of the data; independent of a run's seed, so that all methods and seeds see the same clips.
        files: names of the idx files, training images first.
        md5: accepted md5 sums (packed or unpacked) of each file; None accepts any content.
        val_images: training images held out for validation.
        test_file: name of the public test clips (T, N, H, W) uint8, read instead of generated ones if the file
            exists, fits the lengths and the canvas, and the test split is not ``noisy``.
        noise: corruption of past frames (:class:`stbench.data.readers.moving_images.noise.Noise`).
        noisy: the splits with corrupted frames.
        backgrounds: colour pictures behind the glyphs
            (:class:`stbench.data.readers.moving_images.backgrounds.Backgrounds`).
    """

    glyphs: Literal["digits", "idx"] = "digits"
    glyph_size: PositiveInt = 28
    per_clip: PositiveInt = 2
    speed: Annotated[PositiveFloat, Field(lt=1)] = 0.1
    motion: Motion = "reflect"
    train_clips: PositiveInt = 10_000
    val_clips: PositiveInt = 1_000
    test_clips: PositiveInt = 10_000
    seed: NonNegativeInt = 0
    md5: dict[str, tuple[str, ...]] | None = None
    val_images: PositiveInt = 6000
    test_file: str | None = None
    noise: Noise | None = None
    noisy: tuple[SplitName, ...] = ("train", "val", "test")
    backgrounds: Backgrounds | None = None

    @property
    def file_sets(self) -> tuple[tuple[str, ...], ...]:
        """Idx files, and files of the backgrounds."""
        more = self.backgrounds.files if self.backgrounds is not None else ()
        return ((*self.files, *more),) if self.files else ()

    def noise_of(self, split: str) -> Noise | None:
        """Return the corruption of a split's past frames, or None."""
        return self.noise if split in self.noisy else None

    @model_validator(mode="after")
    def _files_fit(self) -> MovingImagesOptions:
        if (self.glyphs == "idx") != (len(self.files) == 2):
            raise ValueError(f"glyphs 'idx' and two files go together; got {self.glyphs!r} and {len(self.files)} files")
        return self


class MovingImages(Reader):
    """Clips of moving glyphs; the glyphs are split into training, validation and test."""

    Options: ClassVar[type[ReaderOptions]] = MovingImagesOptions

    @classmethod
    def open(cls, options: MovingImagesOptions, context: DatasetContext) -> Splits:
        """Read the glyphs; clips are drawn on demand."""
        shape = context.shape
        glyphs = _glyphs(options, context)
        training = glyphs.train if context.hold_out else np.concatenate([glyphs.train, glyphs.val])
        check_canvas(context.name, shape, training, colour=options.backgrounds is not None)
        scenes = read_backgrounds(options.backgrounds, context, options) if options.backgrounds is not None else {}
        train = MovingSplit(training, "train", options.train_clips, options, shape, scenes.get("train"))
        file = _test_file(options, context) if options.noise_of("test") is None else None
        test: Split = file or MovingSplit(glyphs.test, "test", options.test_clips, options, shape, scenes.get("test"))
        val = test
        if context.hold_out:
            val = MovingSplit(glyphs.val, "val", options.val_clips, options, shape, scenes.get("val"))
        held = f"{len(glyphs.val)} for validation" if context.hold_out else "validation = test"
        origin = f"test clips are the published ones of {options.test_file}" if file else "test clips generated"
        return Splits(
            train=train,
            val=val,
            test=test,
            report=(
                f"generated from {len(training)} glyphs for training, {held}, {len(glyphs.test)} for test; dropped "
                f"nothing; clips: {len(train)} train (anew each epoch), {len(val)} validation, {len(test)} test"
                + (f"; {origin}" if options.test_file else "")
                + (f"; {options.noise.text(options.noisy)}" if options.noise is not None else "")
            ),
            fingerprint=_fingerprint(glyphs, options, file, scenes),
        )


def _glyphs(options: MovingImagesOptions, context: DatasetContext) -> Glyphs:
    if options.glyphs == "digits":
        return digits(options.glyph_size)
    paths = find_files(context.name, context.data_dirs, options.files, options.folders)
    if paths is None:
        raise missing_files_error(context.name, context.data_dirs, options)
    for path in paths:
        if options.md5 is not None and path.name in options.md5:
            check_content(path, options.md5[path.name])
    return read_idx_glyphs(paths[0], paths[1], options.glyph_size, options.val_images)


def _test_file(options: MovingImagesOptions, context: DatasetContext) -> SequenceFile | None:
    """Open the public test clips; None if they are missing or do not fit."""
    name = options.test_file
    found = name and find_files(context.name, context.data_dirs, [name], options.folders)
    if not found:
        return None
    clips = SequenceFile(found[0], context.shape.length)
    return clips if clips.fits(context.shape) else None


def _fingerprint(
    glyphs: Glyphs, options: MovingImagesOptions, file: SequenceFile | None, scenes: Mapping[str, Images]
) -> str:
    """Hash all that clips are drawn from; glyphs represent their files."""
    drawn_from = set(MovingImagesOptions.model_fields) - FILE_OPTIONS
    drawn_from -= {key for key, before in LATER.items() if getattr(options, key) == before}
    digest = hashlib.sha256(f"{GENERATOR_VERSION} {options.model_dump_json(include=drawn_from)}".encode())
    for images in (glyphs.train, glyphs.val, glyphs.test):
        digest.update(images.tobytes())
    for images in scenes.values():
        digest.update(images.tobytes())
    if file is not None:
        digest.update(file_hash(file.path).encode())
    return digest.hexdigest()


class MovingSplit(Split):
    """Clips of one split, drawn on demand."""

    def __init__(
        self,
        glyphs: Images,
        name: str,
        clips: int,
        options: MovingImagesOptions,
        shape: ClipShape,
        scenes_NHWC: Images | None = None,
    ) -> None:
        self._scenes = scenes_NHWC
        self._glyphs = glyphs
        self._name = name
        self._clips = clips
        self._options = options
        self._shape = shape

    def __len__(self) -> int:
        return self._clips

    def clips(self, indices: Indices, epoch: int) -> Tensor:
        """Return clips (B, T, C, H, W) in [0, 1], in steps of 1/255; ``epoch`` matters only for training clips."""
        key = stream_key(self._options.seed, STREAMS[self._name], epoch if self._name == "train" else 0)
        draws = uniforms(key, indices, self._options.per_clip * DRAWS_PER_GLYPH)
        draws_BGD = draws.reshape(len(indices), self._options.per_clip, DRAWS_PER_GLYPH)
        chosen_BG = (draws_BGD[..., 0] * len(self._glyphs)).astype(np.int64)
        free = np.array([self._shape.height, self._shape.width]) - self._glyphs.shape[1:]
        options = self._options
        noise, t_in = options.noise_of(self._name), self._shape.t_in
        jolts = noise.jolts(key, indices, options.per_clip, t_in, self._shape.length) if noise is not None else None
        path = partial(trajectories, draws_BGD[..., 1:], free, options.speed, self._shape.length, options.motion)
        canvas = render(self._glyphs[chosen_BG], path(jolts), (self._shape.height, self._shape.width))
        if noise is not None:
            noise.hide(canvas[:, :t_in], key, indices)
        if self._scenes is None:
            return torch.from_numpy(canvas[:, :, None]).to(torch.float32).div_(255)
        return torch.from_numpy(over_scenes(canvas, self._scenes, key, indices)).to(torch.float32).div_(255)


def trajectories(
    draws_BG3: Floats,
    free: npt.NDArray[np.int64],
    speed: float,
    length: int,
    motion: Motion = "reflect",
    jolts_BGT2: Floats | None = None,
) -> Indices:
    """Return upper left corners (B, G, T, 2), in pixels, of glyphs that move straight and turn at walls.

    Args:
        draws_BG3: uniform numbers: start y, start x, direction.
        free: range of the corner, (y, x) pixels.
        speed: share of the free range moved per frame.
        length: number of frames T.
        motion: what happens at a wall, as :attr:`MovingImagesOptions.motion`.
        jolts_BGT2: added to the direction (sine, cosine) of each step; for ``clamp`` only.
    """
    angle = 2 * np.pi * draws_BG3[..., 2]
    step = speed * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    if motion == "clamp":
        walked = _clamped(draws_BG3[..., :2], step, length, None if jolts_BGT2 is None else speed * jolts_BGT2)
    else:
        walked = _reflected(draws_BG3[..., :2], step, length)
    return np.floor(walked * free).astype(np.int64)


def _reflected(start_BG2: Floats, step_BG2: Floats, length: int) -> Floats:
    """Return positions (B, G, T, 2): the straight line folded back into [0, 1]."""
    straight = start_BG2[..., None, :] + np.arange(length)[:, None] * step_BG2[..., None, :]
    folded: Floats = 1 - np.abs(straight % 2 - 1)
    return folded


def _clamped(start_BG2: Floats, step_BG2: Floats, length: int, jolts_BGT2: Floats | None) -> Floats:
    """Return positions (B, G, T, 2): a step that leaves [0, 1] ends at the wall, and the next ones go the other way."""
    position, step = start_BG2, step_BG2
    path = np.empty((*start_BG2.shape[:2], length, 2))
    for time in range(length):
        ahead = position + (step if jolts_BGT2 is None else step + jolts_BGT2[:, :, time])
        position = ahead.clip(0, 1)
        step = np.where(position == ahead, step, -step)
        path[:, :, time] = position
    return path


def render(glyphs_BGhw: Images, corners_BGT2: Indices, canvas: tuple[int, int]) -> Images:
    """Draw frames (B, T, H, W) uint8: the pixelwise maximum of the glyphs at their corners.

    A glyph is stored as one strip of bytes: its rows, separated by the black pixels of a row of the frame. A frame then
    takes one copy instead of h.
    """
    batch, count, length, _ = corners_BGT2.shape
    height, width = canvas
    frames = np.zeros((batch, length, height * width), dtype=np.uint8)
    strips_BGS = _strips(glyphs_BGhw, width)
    # windows[b, t, n] is the strip of frame t that starts at its n-th pixel: a view, so that assigning draws
    windows = np.lib.stride_tricks.sliding_window_view(frames, strips_BGS.shape[-1], axis=2, writeable=True)
    starts_BGT = corners_BGT2[..., 0] * width + corners_BGT2[..., 1]
    clip, time = np.arange(batch)[:, None], np.arange(length)
    windows[clip, time, starts_BGT[:, 0]] = strips_BGS[:, :1]
    for glyph in range(1, count):
        place = clip, time, starts_BGT[:, glyph]
        drawn = windows[place]
        windows[place] = np.maximum(drawn, strips_BGS[:, glyph, None], out=drawn)
    return frames.reshape(batch, length, height, width)


def _strips(glyphs_BGhw: Images, width: int) -> Images:
    """Return each glyph (B, G, S) as in a black frame of this width, from its first pixel to its last."""
    rows, columns = glyphs_BGhw.shape[2:]
    wide = np.zeros((*glyphs_BGhw.shape[:3], width), dtype=np.uint8)
    wide[..., :columns] = glyphs_BGhw
    return wide.reshape(*glyphs_BGhw.shape[:2], -1)[..., : (rows - 1) * width + columns]


def check_canvas(name: str, shape: ClipShape, glyphs: Images, *, colour: bool = False) -> None:
    """Check the number of channels, and that the canvas is larger than a glyph."""
    height, width = glyphs.shape[1:]
    channels = 3 if colour else 1
    if shape.channels != channels or shape.height <= height or shape.width <= width:
        raise UserError(
            f"{name}: moving images need a frame ({channels}, H, W) with H > {height} and W > {width}, the "
            f"benchmark declares {shape.frame}."
        )
