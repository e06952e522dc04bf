"""Packed values with attributes as NetCDF defines them: scale and offset, fill values, valid ranges, unsigned integers.

Scale and offset are applied here; as soon as an attribute says which values are missing, xarray decodes
(the extra ``weather``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from stbench.data.formats.extras import needed
from stbench.data.formats.recording import Frames

FILLING = ("_FillValue", "missing_value")
VALID = ("valid_min", "valid_max", "valid_range")
SCALING = ("scale_factor", "add_offset")
UNSIGNED = "_Unsigned"

Unpack = Callable[[Frames], Frames]


@dataclass(frozen=True)
class Packing:
    """How stored values become values in units.

    Attributes:
        unpack: converts a block; None where the stored values are meant as they are. Missing ones become NaN.
        said: which values are declared missing, for the data report.
    """

    unpack: Unpack | None
    said: str


def packing_of(attributes: Mapping[str, Any], where: str) -> Packing:
    """Read the attributes of an array.

    Raises:
        UserError: they declare missing values and xarray is not installed.
    """
    held = {name: attributes[name] for name in (*SCALING, *FILLING, *VALID) if name in attributes}
    declared = {name: np.ravel(held[name]) for name in (*FILLING, *VALID) if name in held}
    telling = [name for name, values in declared.items() if not _is_nan(values)]
    unsigned = text_of(attributes.get(UNSIGNED, "")).lower() == "true"
    if unsigned:
        telling.append(UNSIGNED)
    if not telling:
        scale, offset = (
            float(np.ravel(held.get(name, default))[0]) for name, default in zip(SCALING, (1, 0), strict=True)
        )
        plain = (scale, offset) == (1.0, 0.0)
        return Packing(None if plain else partial(_scaled, scale, offset), "none declared")
    said = ", ".join(f"{name} {_listed(declared[name])}" for name in telling if name in declared)
    xarray = needed("xarray", f"{where} declares missing or packed values ({', '.join(telling)})")
    known = {name: held[name] for name in (*SCALING, *FILLING) if name in held}
    known = {name: value if name == "missing_value" else np.ravel(value)[0] for name, value in known.items()}
    known |= {UNSIGNED: "true"} if unsigned else {}
    valid = {name: declared[name] for name in VALID if name in declared}
    return Packing(partial(_decoded, xarray, known, valid, unsigned), f"declared ({said})" if said else "none declared")


def _scaled(scale: float, offset: float, raw: Frames) -> Frames:
    values: Frames = raw * scale + offset
    return values


def _decoded(
    xarray: Any, known: Mapping[str, Any], valid: Mapping[str, npt.NDArray[Any]], unsigned: bool, raw: Frames
) -> Frames:
    """Let xarray decode; values outside the valid range, which it keeps, become NaN as well."""
    dims = tuple(f"d{axis}" for axis in range(raw.ndim))
    stored = xarray.Dataset({"field": (dims, raw, dict(known))})
    decoded = xarray.decode_cf(stored, decode_times=False, decode_coords=False)["field"].to_numpy()
    values = np.array(decoded, dtype=np.float64 if decoded.dtype.itemsize > 4 else np.float32)
    for name in FILLING:  # attributes are often of another float type than the values, and then not equal to them
        for value in np.ravel(known.get(name, ())):
            if raw.dtype.kind == "f" and np.asarray(value).dtype.kind == "f":
                values[np.isclose(raw, value, rtol=1e-6, atol=0)] = np.nan
    native = raw.view(raw.dtype.str.replace("i", "u")) if unsigned and raw.dtype.kind == "i" else raw
    for name, bounds in valid.items():
        compared = native if (bounds.dtype.kind == "f") == (native.dtype.kind == "f") else values
        if unsigned and bounds.dtype.kind == "i" and native.dtype.kind == "u":
            bounds = bounds.astype(raw.dtype).view(native.dtype)
        low = bounds[0] if name != "valid_max" else None
        high = bounds[-1] if name != "valid_min" else None
        if low is not None:
            values[compared < low] = np.nan
        if high is not None:
            values[compared > high] = np.nan
    return values


def _is_nan(values: npt.NDArray[Any]) -> bool:
    return values.dtype.kind == "f" and bool(np.isnan(values).all())


def text_of(value: Any) -> str:
    """Return an attribute as text."""
    first: Any = np.ravel(value)[0] if np.size(value) else ""
    return first.decode(errors="replace") if isinstance(first, bytes) else str(first)


def _listed(values: npt.NDArray[Any]) -> str:
    return " ".join(f"{value:g}" if values.dtype.kind in "iuf" else text_of(value) for value in values)
