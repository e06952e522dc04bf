"""A benchmark made from a user's own file or folder: ``stbench run --dataset path/to/clips``."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import PositiveInt, field_validator

from stbench.data.benchmarks.lookup import load_template
from stbench.data.formats import SUFFIXES, Recording, open_recordings
from stbench.data.formats.arrays import PAIR, pairs_hint
from stbench.data.formats.axes import Layout
from stbench.data.formats.channels import open_channels
from stbench.data.formats.fields import Choice
from stbench.data.formats.listing import expanded, files_below, is_store, regular_file
from stbench.data.formats.named_files import write_down
from stbench.data.formats.open import holding
from stbench.data.formats.recording import NO_TIME
from stbench.data.formats.series import join_within
from stbench.data.frame_cache.cache import CachedRecording
from stbench.data.splits.from_folder_names import by_folders
from stbench.data.splits.rules import ByFraction, ByName
from stbench.data.splits.windows import Cutter
from stbench.errors import UserError
from stbench.schema import Benchmark, ClipShape, Protocol, Record, Training
from stbench.settings import leaves

MULTIPLE = 4  # sides of shrunk frames are multiples of it: most methods divide by 4
USUAL_LENGTH = 10
MOST_EPOCHS = 40
FROM_USER = "your data and flags"
GREY = ("unit", "bytes")


class CustomOptions(Record):
    """What the user states about the data; the rest is inferred.

    ``size`` is (H, W); ``shares`` the split; ``t_in``, ``t_out`` default to ten frames each, or as many as the shortest
    split allows.
    """

    t_in: PositiveInt | None = None
    t_out: PositiveInt | None = None
    stride: PositiveInt | None = None
    shares: tuple[float, float, float] = (0.7, 0.1, 0.2)
    size: tuple[PositiveInt, PositiveInt] | None = None
    variable: tuple[str, ...] = ()
    layout: Layout = "auto"
    level: float | None = None
    fill: float | None = None
    scale: Literal["auto", "unit", "minmax", "zscore"] = "auto"

    @field_validator("variable", mode="before")
    @classmethod
    def _one_or_several(cls, variable: Any) -> Any:
        return (variable,) if isinstance(variable, str) else variable

    @field_validator("shares")
    @classmethod
    def _shares_add_up(cls, shares: tuple[float, float, float]) -> tuple[float, float, float]:
        if not add_up(shares):
            raise ValueError("three shares between 0 and 1 that add up to 1 are expected, as --split 0.7,0.1,0.2")
        return shares


def add_up(shares: Sequence[float]) -> bool:
    """Return whether these are three shares between 0 and 1 that add up to 1; NaN is not.

    >>> add_up((0.7, 0.1, 0.2)), add_up((0.5, 0.5)), add_up((float("nan"), 0.5, 0.5))
    (True, False, False)
    """
    return len(shares) == 3 and all(0 < share < 1 for share in shares) and abs(sum(shares) - 1) <= 1e-6


def custom_benchmark(dataset: str, options: CustomOptions) -> Benchmark:
    """Describe a folder of clips, a long series or a single file as a benchmark with the template's protocols.

    Raises:
        UserError: no file is readable, the files do not fit together, or a split is too short for a clip.
    """
    path = expanded(dataset)
    if not path.exists():
        raise UserError(f"--dataset {dataset}: there is no such file or folder (and no benchmark of that name).")
    path = path.resolve()
    folder = path.is_dir() and not is_store(path)
    root = path if folder else path.parent
    files = _files(path)
    _refuse_pairs(files)
    recordings = _open(files, root, options)
    split = _split(recordings, options)
    t_in, t_out = _lengths(recordings, split, options)
    channels = _common_channels(recordings)
    height, width = options.size or _common_size(recordings)
    patterns = sorted({f"**/*{file.suffix}" for file in files}) if folder else [path.name]
    listing = write_down(root, files).model_dump(mode="json", exclude_defaults=True)
    scale = options.scale if options.scale != "auto" else _auto_scale(recordings)
    shape = ClipShape(t_in=t_in, t_out=t_out, channels=channels, height=height, width=width)
    clips = _training_clips(recordings, split, shape.length, options.stride or 1, _name(path))
    template = load_template()
    changes: dict[str, Any] = {
        "path": str(path),
        "files": patterns,
        "listing": listing,
        "variables": list(options.variable),
        "layout": options.layout,
        "level": options.level,
        "series": True,
        "fit": "cover" if options.size or _sizes(recordings) > 1 else "crop",
        "split": split.model_dump(mode="json"),
        "scale": scale,
        "stride": options.stride or 1,
        **({"fill": options.fill} if options.fill is not None else {}),
    }
    made = template.model_copy(
        update={
            "name": _name(path),
            "title": f"{path.name}, {t_in} -> {t_out}",
            "shape": shape,
            "units": "grey levels" if scale in GREY else _units(recordings),
            "value_range": None if scale == "zscore" else (0.0, 1.0),
            "data_range": None if scale == "zscore" else 1.0,
            "dataset": template.dataset.model_copy(update={"options": {**template.dataset.options, **changes}}),
            "protocols": {
                name: _protocol(protocol, shape, scale, clips) for name, protocol in template.protocols.items()
            },
        }
    )
    return made.with_origins({".".join(("dataset.options", *keys)): FROM_USER for keys, _ in leaves(changes)})


def _open(files: Sequence[Path], root: Path, options: CustomOptions) -> list[Recording]:
    """Open the recordings as a run does: series joined, several variables as channels."""
    choice = Choice(options.layout, options.level)
    if not options.variable:
        found = open_recordings(files, root, choice=choice)
        return join_within(found, by_folders([recording.name for recording in found]) is not None)
    several = len(options.variable) > 1
    paths_of = {name: holding(files, name) if several else list(files) for name in options.variable}
    names = [file.relative_to(root).with_suffix("").as_posix() for file in files]
    return open_channels(paths_of, root, choice, series=True, apart=by_folders(names) is not None)


def _refuse_pairs(files: Sequence[Path]) -> None:
    """Reject past and future frames in separate files, because each would be read as clips."""
    found = {file for file in files if PAIR.fullmatch(file.stem)}
    hint = pairs_hint([file.stem for file in found])
    if hint:
        listing = ", ".join(sorted(file.name for file in found))
        raise UserError(f"{min(found).parent} holds {listing}: pairs of past and future frames.{hint}")


def _units(recordings: Sequence[Recording]) -> str:
    """Return the units that the files state, if all state the same."""
    stated = {recording.facts.get("units", "not stated") for recording in recordings}
    return stated.pop() if len(stated) == 1 and "not stated" not in " ".join(stated) else "file units"


def _files(path: Path) -> list[Path]:
    if not path.is_dir() or is_store(path):
        if path.suffix.lower() not in SUFFIXES:
            raise UserError(f"{path} is of no known kind. Readable: {', '.join(SUFFIXES)}.")
        return [regular_file(path)]
    found = files_below(path, SUFFIXES)
    if not found:
        raise UserError(f"{path} holds nothing readable. Put clips there: {', '.join(SUFFIXES)}.")
    return found


def _name(path: Path) -> str:
    """Return a name fit for folders: the path's last part after ``custom-``, which marks own data."""
    return "custom-" + (re.sub(r"[^A-Za-z0-9_]+", "-", path.stem).strip("-") or "data")


def _split(recordings: Sequence[Recording], options: CustomOptions) -> ByFraction | ByName:
    """Return the rule by folders named after splits if there are any, else by shares."""
    named = by_folders([recording.name for recording in recordings])
    if named is None:
        return ByFraction(shares=options.shares)
    if "shares" in options.model_fields_set:
        raise UserError(
            "--split: the folders named train, val and test already say which clips belong where. Leave --split out, "
            "or rename the folders to have everything cut by it."
        )
    return named


def _lengths(recordings: Sequence[Recording], split: ByFraction | ByName, options: CustomOptions) -> tuple[int, int]:
    """Return T_in and T_out: as requested, else 10 each or as many as the shortest split allows."""
    lengths = [recording.length for recording in recordings]
    by_time, room = split.room(recordings)
    if options.t_in is not None or options.t_out is not None:
        given = options.t_in or options.t_out
        usual = min(USUAL_LENGTH, max(1, room - (given or 0)))
        return options.t_in or usual, options.t_out or usual
    usual = min(USUAL_LENGTH, room // 2 - (1 if room // 2 > 4 and by_time else 0))
    if usual < 1:
        raise UserError(
            f"The recordings are too short: the longest has {max(lengths)} frames, of which the smallest split gets "
            f"{room}. Give longer ones, or other shares with --split."
        )
    return usual, usual


def _sizes(recordings: Sequence[Recording]) -> int:
    return len({recording.frame[:2] for recording in recordings})


def _common_size(recordings: Sequence[Recording]) -> tuple[int, int]:
    """Return the smallest height and width of the recordings; methods pad sides that do not divide."""
    height, width = (min(recording.frame[axis] for recording in recordings) for axis in (0, 1))
    return height, width


def _common_channels(recordings: Sequence[Recording]) -> int:
    """Return the largest number of channels; only grey recordings can be converted, by repeating them."""
    found = sorted({recording.frame[2] for recording in recordings})
    if len([number for number in found if number > 1]) > 1:
        example = {recording.frame[2]: recording.name for recording in recordings}
        listing = ", ".join(f"{number} ({example[number]})" for number in found)
        raise UserError(f"Recordings of different numbers of channels: {listing}. Give data of one kind.")
    return found[-1]


def _auto_scale(recordings: Sequence[Recording]) -> Literal["bytes", "minmax"]:
    return "bytes" if all(recording.dtype == np.uint8 for recording in recordings) else "minmax"


def _training_clips(
    recordings: Sequence[Recording], split: ByFraction | ByName, length: int, stride: int, where: str
) -> int:
    """Return the number of training clips, ignoring gaps in time; reject lengths that leave a split without clips."""
    ends = np.cumsum([recording.length for recording in recordings])
    places = [
        CachedRecording(name=recording.name, first=int(end) - recording.length, length=recording.length)
        for recording, end in zip(recordings, ends, strict=True)
    ]
    unknown = np.full(int(ends[-1]), NO_TIME)
    return len(split.divide(Cutter(places, unknown, length, stride), where).train)


def _enough(training: Training, clips: int) -> Training:
    """Raise the epochs for few clips, so that training has as many steps as with plenty of data.

    This concerns only protocols that cap the clips of an epoch: their length is a number of steps.
    """
    if training.train_clips is None or clips >= training.train_clips:
        return training
    epochs = math.ceil(training.epochs * training.train_clips / max(1, clips))
    return training.model_copy(update={"epochs": min(MOST_EPOCHS, epochs)})


def _protocol(protocol: Protocol, shape: ClipShape, scale: str, clips: int) -> Protocol:
    """Return the template's protocol with metrics that suit the scale, and with shrunk frames if the template asks."""
    known = protocol.evaluation.metrics
    kept = [name for name in known if scale != "zscore" or name.startswith(("mse", "mae", "rmse"))]  # need no peak
    physical = [] if scale in GREY else ["mae_physical", "rmse_physical"]
    changes: dict[str, Any] = {
        "evaluation": protocol.evaluation.model_copy(update={"metrics": (*kept, *physical)}),
        "shape": None,
        "training": _enough(protocol.training, clips),
    }
    if protocol.shape is not None:
        small = _shrunk(shape, max(protocol.shape.height, protocol.shape.width))
        if small != shape:
            changes |= {"shape": small, "dataset": {**protocol.dataset, "fit": "cover"}}
    return protocol.model_copy(update=changes)


def _shrunk(shape: ClipShape, longest: int) -> ClipShape:
    """Return the shape with its longer side at most ``longest``; proportions are kept as far as multiples allow."""
    factor = max(shape.height, shape.width) / longest
    if factor <= 1:
        return shape
    sides = {side: getattr(shape, side) for side in ("height", "width")}
    small = {side: min(size, max(2, round(size / factor / MULTIPLE)) * MULTIPLE) for side, size in sides.items()}
    return shape.model_copy(update=small)
