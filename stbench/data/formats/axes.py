"""Tell the axes of an array from ``--layout``, names of dimensions, arrays beside it, sizes and content.

A layout has a letter for each axis, in order: N clips (or members), T time, C channels, L level, H height, W width.
If two readings are plausible, both are shown and the array is rejected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator

from stbench.errors import UserError, counted

NEEDED, ALLOWED = set("THW"), set("NTCLHW")
MOST_CHANNELS = 4
SMALLEST_SIDE = 5  # a shorter side is no frame's
SQUARER = 2.0  # how much squarer the frames of one reading must be to rule out another
CALMER = 0.5  # neighbours in time differ by less than this, relative to unrelated frames
PAIRS = 24
SERIES = ("THW", "HWT", "HTW")
FOUR = ("NTHW", "TNHW", "TCHW", "THWC", "NHWT", "CTHW", "HWTC", "HWCT", "CHWT")
FIVE = ("NTCHW", "TNCHW", "NTHWC", "TNHWC", "NCTHW")
DATED_ONLY = ("HTW", "HWTC", "HWCT", "CHWT")  # unusual orders, plausible only where the file's times say so
CONTENT_TELLS = {"NTHW", "TNHW", "TCHW", "NTCHW", "TNCHW", "NTHWC", "TNHWC"}

NAMES: dict[str, tuple[str, ...]] = {
    letter: tuple(words.split())
    for letter, words in {
        "T": "t time times valid_time date dates datetime timestamp timestamps time_counter xtime frame frames "
        "timestep tstep forecast_time ocean_time",
        "H": "lat latitude lats y yc nlat rlat ny nj j south_north row rows northing projection_y_coordinate "
        "grid_latitude",
        "W": "lon longitude lons x xc nlon rlon nx ni i west_east col cols column columns easting "
        "projection_x_coordinate grid_longitude width",
        "L": "lev level levels plev pressure pressure_level isobaricinhpa isobaric depth deptht z zlev altitude height "
        "heightaboveground model_level hybrid bottom_top sigma layer",
        "C": "c channel channels band bands variable variables feature features var",
        "N": "n clip clips sample samples sequence sequences batch event events case",
        "M": "member members number realization ensemble ens ensemble_member",
    }.items()
}


def _one_of_each(layout: str) -> str:
    letters = layout.upper()
    if layout == "auto":
        return layout
    if not NEEDED <= set(letters) <= ALLOWED or len(set(letters)) != len(letters):
        raise ValueError("a letter for each axis is expected, T, H and W among them: THW, NTHW, HWT, NTCHW, TLHW …")
    return letters


Layout = Annotated[str, AfterValidator(_one_of_each)]
"""``auto``, or a letter for each axis of an array."""


@dataclass(frozen=True)
class Shape:
    """What is known of an array before its content is looked at.

    Attributes:
        sizes: length of each axis.
        where: the file (and array), for messages.
        names: of the dimensions, in their order; None where the file names none.
        companions: lengths of arrays beside it that belong to one axis (lat, level), by their names.
        times: number of times that the file holds; None if there are none.
    """

    sizes: tuple[int, ...]
    where: str
    names: tuple[str, ...] | None = None
    companions: Mapping[str, int] = field(default_factory=dict)
    times: int | None = None


@dataclass(frozen=True)
class Axes:
    """A layout, and how it was told."""

    layout: str
    how: str


def read_axes(shape: Shape, asked: str, load: Callable[[], Any]) -> Axes:
    """Tell the axes of an array apart.

    Args:
        shape: what is known of it.
        asked: the layout that the user gives, or ``auto``.
        load: gives the array, to look at its content where its sizes leave doubt.

    Raises:
        UserError: too few or too many axes, a layout that does not fit, members, or several plausible readings.
    """
    sizes = shape.sizes
    if asked != "auto":
        if len(asked) != len(sizes):
            raise UserError(f"{shape.where} has {len(sizes)} axes {sizes}, the layout {asked} has {len(asked)}.")
        return Axes(asked, "as --layout says")
    named = _by_names(shape)
    if named is not None:
        return named
    if not 3 <= len(sizes) <= 5:
        raise UserError(
            f"{shape.where} has shape {sizes}: expected clips (N, T, H, W), (N, T, H, W, C) or (N, T, C, H, W), or one "
            "series (T, H, W), (T, H, W, C) or (T, C, H, W). Select what is meant in the file; --layout names three "
            "to five axes in any order."
        )
    time = _time_axis(shape)
    readings = _plausible(sizes, time)
    if not readings and len(sizes) == 3 and time is None:
        readings = ["THW"]  # too small for a frame, which is said where the frames' size is looked at
    if sizes[:1] == (1,) and "NTHW" in readings:
        return Axes("NTHW", "told by the sizes")
    if len(readings) > 1 and time is None and set(readings) <= CONTENT_TELLS:
        return _by_content(shape, readings, load)
    if len(readings) != 1 or (time is not None and "N" in readings[0]):
        raise _ask(shape, readings or [FOUR[0] if len(sizes) == 4 else FIVE[0]])
    return Axes(readings[0], "told by the sizes" if time is None else "told by the times and the sizes")


def _by_names(shape: Shape) -> Axes | None:
    """Read the names of dimensions, or those of companions where each fits one axis alone."""
    if shape.names is not None:
        names, how = shape.names, "told by the dimensions"
    else:
        names, how = _names_of_companions(shape), "told by the arrays beside it"
    letters = _letters(names)
    if not set(letters) >= NEEDED:
        open_axes = [axis for axis, letter in enumerate(letters) if letter == "?"]
        lacking = [letter for letter in "THW" if letter not in letters]
        if len(lacking) != len(open_axes) or len(lacking) > 1 + (lacking == ["H", "W"]) or len(letters) < 3:
            return None
        for axis, letter in zip(open_axes, lacking, strict=True):
            letters[axis] = letter
    for axis, letter in enumerate(letters):
        if letter == "M" and shape.sizes[axis] > 1:
            raise _members(shape, letters, axis)
        if letter in "M?":
            letters[axis] = "L"
    layout = "".join(letters)
    if len(set(layout)) == len(layout):
        return Axes(layout, f"{how} ({', '.join(name or '?' for name in names)})")
    return _squeezed(shape, layout, names, how)


def _squeezed(shape: Shape, layout: str, names: Sequence[str], how: str) -> Axes:
    """Two axes of one kind: all but one of them may be of length 1 and are marked with a dot."""
    letters = list(layout)
    for axis, letter in enumerate(layout):
        if letters.count(letter) > 1 and shape.sizes[axis] == 1:
            letters[axis] = "."
    if len({letter for letter in letters if letter != "."}) != sum(letter != "." for letter in letters):
        raise UserError(
            f"{shape.where} has the axes {', '.join(map(str, names))} of lengths {shape.sizes}: more than clips, time, "
            "channels, one level, height and width. Select one of the others in the file first, for example with "
            "xarray: xarray.open_dataset(FILE).isel(AXIS=0).to_netcdf(NEW)."
        )
    return Axes("".join(letters), f"{how} ({', '.join(map(str, names))})")


def _names_of_companions(shape: Shape) -> tuple[str, ...]:
    found = [""] * len(shape.sizes)
    for axis, size in enumerate(shape.sizes):
        fitting = [name for name, length in shape.companions.items() if length == size and _letter(name) != "?"]
        if len({_letter(name) for name in fitting}) == 1 and shape.sizes.count(size) == 1:
            found[axis] = fitting[0]
    return tuple(found)


def _letters(names: Iterable[str]) -> list[str]:
    letters = [_letter(name) for name in names]
    if "H" not in letters and "W" in letters:  # height is a level, but a picture's side beside width
        letters = ["H" if _bare(name) == "height" else letter for name, letter in zip(names, letters, strict=True)]
    return letters


def _letter(name: str) -> str:
    bare = _bare(name)
    return next((letter for letter, known in NAMES.items() if bare in known), "?")


def _bare(name: str) -> str:
    return re.sub(r"[_ ]?\d+$", "", name.rpartition("/")[2].strip().lower())


def _time_axis(shape: Shape) -> int | None:
    """The axis that is as long as the file has times; None if it has none or several are."""
    fitting = [axis for axis, size in enumerate(shape.sizes) if size == shape.times]
    return fitting[0] if len(fitting) == 1 else None


def _plausible(sizes: tuple[int, ...], time: int | None) -> list[str]:
    """Return the plausible layouts of an array of unnamed axes, the usual one first; none if no frame fits."""
    usual = {3: SERIES, 4: FOUR, 5: FIVE}[len(sizes)]
    readings = [layout for layout in usual if (layout in DATED_ONLY) <= (time is not None)]
    readings = [layout for layout in readings if time is None or layout[time] == "T"]
    readings = [layout for layout in readings if _fits(layout, sizes)]
    few = [layout for layout in readings if "C" in layout and sizes[layout.index("C")] <= MOST_CHANNELS]
    if len(sizes) > 3:
        short = [layout for layout in few if layout != "CTHW"]
        readings = short or [layout for layout in readings if _keeps_channels_short(layout, sizes)]
    if sizes[-1] == sizes[-2] and time is None:  # square pictures at the end are what they look like
        readings = [layout for layout in readings if layout.endswith("HW")] or readings
    best = min((_aspect(layout, sizes) for layout in readings), default=1.0)
    if len(sizes) == 3 and time is None:  # (H, W, T) only if (T, H, W) would give stripes
        return readings if _aspect("THW", sizes) >= SQUARER * best else ["THW"]
    return [layout for layout in readings if _aspect(layout, sizes) < SQUARER * best]


def _keeps_channels_short(layout: str, sizes: tuple[int, ...]) -> bool:
    """Whether there are fewer channels than frames, as everywhere; channels before time are few at that."""
    if "C" not in layout:
        return True
    channels = sizes[layout.index("C")]
    return channels <= MOST_CHANNELS if layout == "CTHW" else len(sizes) > 4 or channels < sizes[layout.index("T")]


def _fits(layout: str, sizes: tuple[int, ...]) -> bool:
    """Whether sides are long enough for a frame, and one clip or channel among few axes is not taken for time."""
    at = dict(zip(layout, sizes, strict=True))
    return min(at["H"], at["W"]) >= SMALLEST_SIDE and (at["T"] > MOST_CHANNELS or layout in ("THW", "NTHW"))


def _aspect(layout: str, sizes: tuple[int, ...]) -> float:
    height, width = sizes[layout.index("H")], sizes[layout.index("W")]
    return max(height, width) / max(1, min(height, width))


def _by_content(shape: Shape, readings: list[str], load: Callable[[], Any]) -> Axes:
    """Compare neighbours along the first two axes: frames of a clip resemble each other, frames of two clips do not."""
    first, second = _differences(load(), 0), _differences(load(), 1)
    said = f"neighbours along the first axis differ by {first:.3g}, along the second by {second:.3g} on average"
    if second < CALMER * first:
        clips_first = next((layout for layout in readings if layout.startswith("NT")), None)
        if clips_first is not None:
            return Axes(clips_first, f"told by the content: {said}")
    raise _ask(shape, readings, said)


def _differences(array: Any, axis: int) -> float:
    """Mean absolute difference of neighbours along one of the first two axes, over pairs spread evenly."""
    lengths = [array.shape[0], array.shape[1]]
    lengths[axis] -= 1
    rows, columns = (np.unique(np.linspace(0, n - 1, min(n, 5)).astype(int)) for n in lengths)
    found = []
    for row, column in list(product(rows.tolist(), columns.tolist()))[:PAIRS]:
        other = (row + 1, column) if axis == 0 else (row, column + 1)
        one, two = (np.asarray(array[index], dtype=np.float64) for index in ((row, column), other))
        found.append(float(np.nanmean(np.abs(one - two))))
    return float(np.mean(found))


def _ask(shape: Shape, readings: Sequence[str], said: str = "") -> UserError:
    listing = " or as ".join(f"--layout {layout} ({_described(layout, shape.sizes)})" for layout in readings)
    return UserError(
        f"{shape.where} has shape {shape.sizes}, which can be read as {listing}"
        f"{'; ' + said if said else ''}. Nothing is guessed: say which axes are meant."
    )


def _described(layout: str, sizes: tuple[int, ...]) -> str:
    at = dict(zip(layout, sizes, strict=True))
    clips = f"{counted(at['N'], 'clip')} of " if "N" in at else ""
    channels = f" with {counted(at['C'], 'channel')}" if "C" in at else ""
    return f"{clips}{counted(at['T'], 'frame')} of {at['H']}×{at['W']}{channels}"


def _members(shape: Shape, letters: list[str], axis: int) -> UserError:
    as_clips = "".join("N" if number == axis else letter.replace("?", "L") for number, letter in enumerate(letters))
    name = (shape.names or _names_of_companions(shape))[axis]
    return UserError(
        f"{shape.where} has an axis {name!r} of {shape.sizes[axis]} members (shape {shape.sizes}). Take each member as "
        f"a clip of its own with --layout {as_clips}, or select one in the file, for example with xarray: "
        f"xarray.open_dataset(FILE).isel({name}=0).to_netcdf(NEW)."
    )
