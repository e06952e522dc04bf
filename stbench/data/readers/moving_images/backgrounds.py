"""Colour pictures behind white glyphs, as in Moving MNIST on CIFAR-10.

The pictures are read from CIFAR-10's binary version: records of a label and 3072 bytes, red, green and blue planes of
32×32. Axes: B batch, N pictures, T time, C colours, H, W.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import PositiveInt

from stbench.data.benchmarks.folders import find_files, missing_files_error
from stbench.data.dataset import DatasetContext, Indices, ReaderOptions
from stbench.data.random_streams import stream_key, uniforms
from stbench.errors import UserError
from stbench.schema import Record

if TYPE_CHECKING:
    from stbench.data.readers.moving_images.moving_images import MovingImagesOptions

SIDE, RECORD = 32, 1 + 3 * 32 * 32
SCENE = 103  # a separate stream

Images = npt.NDArray[np.uint8]


class Backgrounds(Record):
    """Pictures behind the glyphs of each split.

    Attributes:
        files: training pictures, the last file the test pictures.
        pool: ``split`` keeps training, validation and test pictures apart; ``all`` draws training clips from every
            picture, also from test pictures (the published practice).
        val_pictures: training pictures held out for validation, the last ones.
    """

    files: tuple[str, ...]
    pool: Literal["split", "all"] = "split"
    val_pictures: PositiveInt = 5000


def read_backgrounds(
    options: Backgrounds, context: DatasetContext, reader: MovingImagesOptions | ReaderOptions
) -> dict[str, Images]:
    """Return the pictures (N, H, W, 3) of each split, enlarged bicubically to the canvas.

    Raises:
        UserError: a file is missing or damaged, or too few pictures are left.
    """
    paths = find_files(context.name, context.data_dirs, options.files, reader.folders)
    if paths is None:
        raise missing_files_error(context.name, context.data_dirs, reader)
    training, test = _read(paths[:-1]), _read(paths[-1:])
    if len(training) <= options.val_pictures:
        raise UserError(f"{context.name}: {len(training)} pictures are too few to hold out {options.val_pictures}.")
    kept, held = training[: -options.val_pictures], training[-options.val_pictures :]
    chosen = {"train": kept if context.hold_out else training, "val": held, "test": test}
    if options.pool == "all":
        chosen["train"] = np.concatenate([training, test])
    size = context.shape.width, context.shape.height
    return {split: _enlarged(pictures, size) for split, pictures in chosen.items()}


def over_scenes(canvas_BTHW: Images, scenes_NHWC: Images, key: int, indices: Indices) -> Images:
    """Draw white glyphs (all values above 1) over still pictures, (B, T, 3, H, W)."""
    drawn = uniforms(stream_key(key, SCENE), indices, 1)[:, 0]
    scenes_BCHW = scenes_NHWC[(drawn * len(scenes_NHWC)).astype(np.int64)].transpose(0, 3, 1, 2)
    glyph = np.where(canvas_BTHW > 1, np.uint8(255), canvas_BTHW)
    made: Images = np.maximum(glyph[:, :, None], scenes_BCHW[:, None])
    return made


def _read(paths: Sequence[Path]) -> Images:
    parts = []
    for path in paths:
        content = np.fromfile(path, dtype=np.uint8)
        if not content.size or content.size % RECORD:
            raise UserError(f"{path} holds {content.size} bytes, not whole records of {RECORD}. Fetch it again.")
        parts.append(content.reshape(-1, RECORD)[:, 1:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))
    return np.concatenate(parts)


def _enlarged(pictures_NHWC: Images, size: tuple[int, int]) -> Images:
    """Enlarge pictures to (width, height) pixels."""
    return np.stack(
        [np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC)) for picture in pictures_NHWC]
    )
