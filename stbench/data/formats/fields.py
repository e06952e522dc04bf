"""Arrays of any file, opened as recordings: axes told apart, times found, values unpacked, one level chosen.

Axes: N clips, T time, L level, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from stbench.data.formats.axes import NAMES, Axes, Layout, Shape, read_axes
from stbench.data.formats.packed import Unpack, packing_of, text_of
from stbench.data.formats.recording import BLOCK_FRAMES, STANDARD, Blocks, Frames, Recording, stored_type
from stbench.data.formats.timestamps import UNIT_NAMES, Times, times_of_units, times_of_values
from stbench.errors import UserError

Level = float | Literal["last"] | None
FLOAT = np.dtype(np.float32)
COARSE_UNITS = ("min", "h", "d", "month", "year")  # numbers in seconds may still count since 1970


@dataclass(frozen=True)
class Choice:
    """What the user says of an array: its layout, and which level (a value of the level's coordinate, or a number)."""

    layout: Layout = "auto"
    level: Level = None


AUTO = Choice()
"""Nothing said."""
NO_TIMES = Times(None, why="the file holds no times")


@dataclass(frozen=True)
class Item:
    """An array in an open file: a handle that can be sliced, its attributes and, where known, its dimensions' names."""

    values: Any
    attributes: Mapping[str, Any]
    names: tuple[str, ...] | None = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """Length of each axis."""
        return tuple(int(size) for size in self.values.shape)


@dataclass(frozen=True)
class Field:
    """The array that is meant, with what its file says of it.

    Attributes:
        path: the file.
        key: the array's name in it; empty where it has none.
        shape: sizes and what tells its axes.
        dtype: of the stored values.
        open: gives the stored values, which can be sliced, while the file is open.
        times: of its frames.
        unpack: from stored values to values in units.
        facts: what was understood so far.
        levels: coordinate of its levels; empty where there is none.
        floats: True keeps values as float32 whatever they are stored as.
    """

    path: Path
    key: str
    shape: Shape
    dtype: np.dtype[Any]
    open: Callable[[], AbstractContextManager[Any]] = field(repr=False)
    times: Times = NO_TIMES
    unpack: Unpack | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    levels: tuple[float, ...] = ()
    floats: bool = False


def field_of(
    path: Path,
    items: Mapping[str, Item],
    key: str,
    open_: Callable[[], AbstractContextManager[Any]],
    floats: bool = False,
) -> Field:
    """Describe one of a file's arrays: its attributes, and the coordinates beside it.

    Raises:
        UserError: its times or attributes cannot be read.
    """
    item, where = items[key], f"{path}: {key}"
    beside = _companions(items, key)
    packing = packing_of(item.attributes, where)
    units = text_of(item.attributes.get("units", ""))
    times = _times(path, item, beside)
    facts = {"missing values": packing.said, "units": units or "not stated"}
    if key:
        facts["variable"] = key
    lengths = {name: other.sizes[0] for name, other in beside.items()}
    level = next((other for name, other in beside.items() if _is(name, "L") and other.sizes[0] in item.sizes), None)
    found = () if level is None else tuple(float(value) for value in np.ravel(level.values[...]))
    shape = Shape(item.sizes, str(path), item.names, lengths, None if times.seconds is None else len(times.seconds))
    return Field(path, key, shape, item.values.dtype, open_, times, packing.unpack, facts, found, floats)


def recordings_of(
    opened: Field, name: str, choice: Choice, *, load: Callable[[], Any] | None = None
) -> list[Recording]:
    """Return the recordings of an array: one per clip where it has a clip axis, else one.

    Args:
        opened: the array.
        name: of the recording; clips add ``#`` and their number.
        choice: what the user says of it.
        load: gives the array for a look at its content; None opens it.

    Raises:
        UserError: its axes cannot be told, a level has to be chosen, or it is empty or holds no numbers.
    """
    dtype = stored_type(opened.dtype, str(opened.path))
    if opened.floats or opened.unpack is not None:
        dtype = FLOAT
    if 0 in opened.shape.sizes:
        raise UserError(f"{opened.path} holds an empty array {opened.shape.sizes}.")
    with opened.open() as values:
        axes = read_axes(opened.shape, choice.layout, load or (lambda: values))
    at = dict(zip(axes.layout, opened.shape.sizes, strict=True))
    fixed, facts = _level(opened, axes, choice)
    seconds = opened.times.seconds
    fits = seconds is not None and len(seconds) == at["T"]
    why = opened.times.why if seconds is None else f"it has {len(seconds)} times and {at['T']} frames"
    facts = {"axes": f"{axes.layout} of {opened.shape.sizes}, {axes.how}", **opened.facts, **facts}
    facts |= {} if fits else {"times": why}
    return [
        Recording(
            name=name if "N" not in at else f"{name}#{clip}",
            paths=(opened.path,),
            length=at["T"],
            frame=(at["H"], at["W"], at.get("C", 1)),
            dtype=dtype,
            blocks=partial(_blocks, opened.open, axes.layout, {**fixed, "N": clip}, opened.unpack, dtype),
            seconds=seconds if fits else None,
            calendar=opened.times.calendar if fits else STANDARD,
            facts=facts,
            variant=f"{opened.key} {axes.layout} {sorted(fixed.items())}",
        )
        for clip in range(at.get("N", 1))
    ]


def _blocks(
    open_: Callable[[], AbstractContextManager[Any]],
    layout: str,
    fixed: Mapping[str, int],
    unpack: Unpack | None,
    dtype: np.dtype[Any],
) -> Blocks:
    kept = [axis for axis in layout if axis in "THWC"]
    with open_() as values:
        length = values.shape[layout.index("T")]
        for start in range(0, length, BLOCK_FRAMES):
            frames = slice(start, min(length, start + BLOCK_FRAMES))
            index = tuple(
                frames if axis == "T" else fixed.get(axis, 0) if axis in "NL." else slice(None) for axis in layout
            )
            block: Frames = np.asarray(values[index])
            block = block if unpack is None else unpack(block)
            if "C" not in kept:
                block = block[..., None]
            order = [*kept, "C"] if "C" not in kept else kept
            yield block.transpose([order.index(axis) for axis in "THWC"]).astype(dtype, copy=False)


def _level(opened: Field, axes: Axes, choice: Choice) -> tuple[dict[str, int], dict[str, str]]:
    """Index of the level that is meant, and what to say of it."""
    if "L" not in axes.layout:
        return {}, {}
    size = opened.shape.sizes[axes.layout.index("L")]
    held = opened.levels if len(opened.levels) == size else tuple(float(number) for number in range(size))
    listing = ", ".join(f"{value:g}" for value in held[:12]) + (" …" if size > 12 else "")
    if size > 1 and choice.level is None:
        raise UserError(
            f"{opened.path}: {opened.key or 'the array'} has {size} levels ({listing}; shape {opened.shape.sizes}). "
            f"Say which one with --level, for example --level {held[0]:g}, or take them as channels with --layout "
            f"{axes.layout.replace('L', 'C').replace('.', '')}."
        )
    number = size - 1
    if isinstance(choice.level, int | float) and size > 1:
        near = [place for place, value in enumerate(held) if np.isclose(value, choice.level)]
        if not near:
            raise UserError(f"{opened.path} lacks the level {choice.level:g}; it holds: {listing}.")
        number = near[0]
    return {"L": number}, {"level": f"{held[number]:g} of {size} ({listing})" if size > 1 else "the only one"}


def _companions(items: Mapping[str, Item], key: str) -> dict[str, Item]:
    """The one-axis arrays in the array's own folder of the file, or above it, by their bare names."""
    folder = key.rpartition("/")[0]
    return {
        name.rpartition("/")[2]: other
        for name, other in items.items()
        if name != key
        and len(other.sizes) <= 1
        and (not name.rpartition("/")[0] or folder.startswith(name.rpartition("/")[0]))
        and other.sizes
    }


def _times(path: Path, item: Item, beside: Mapping[str, Item]) -> Times:
    """Times of the frames: those of the array's own time dimension, else of the first companion that holds dates."""
    named = [name for name in NAMES["T"] if name in {other.lower() for other in beside}]
    lower = {name.lower(): other for name, other in beside.items()}
    if item.names is not None:
        own = [name.lower() for name in item.names if name.lower() in lower and _is(name, "T")]
        named = [*own, *(name for name in named if name not in own)]
    why = "the file holds no times"
    for name in named:
        other = lower[name]
        if other.sizes[0] not in item.sizes:
            why = f"{name!r} holds {other.sizes[0]} values, as many as no axis of the array {item.sizes}"
            continue
        units = text_of(other.attributes.get("units", ""))
        values = np.asarray(other.values[...])
        if "since" in units:
            return times_of_units(values, units, text_of(other.attributes.get("calendar", "")), f"{path}: {name}")
        if UNIT_NAMES.get(units.strip().lower()) in COARSE_UNITS:
            why = f"{name!r} counts {units} since no date"
            continue
        times = times_of_values(values, f"{path}: {name}")
        if times.seconds is not None:
            return times
        why = times.why.removeprefix(f"{path}: ")
    return Times(None, why=why)


def _is(name: str, letter: str) -> bool:
    return name.lower() in NAMES[letter]
