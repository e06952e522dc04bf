"""Calibration of radar pictures in HDF5: KNMI's ``calibration`` group, or ODIM's ``what``.

Sources: KNMI HDF5 data format specification 3.5 (calibration_formulas, missing_data, out_of_image); OPERA data
information model for HDF5 (ODIM_H5) 2.2, table 16: gain, offset, nodata (not radiated) and undetect (radiated, nothing
detected).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from stbench.data.formats.packed import text_of
from stbench.data.formats.recording import Frames

FORMULA = re.compile(rb"GEO\s*=\s*([-+.\deE]+)\s*\*\s*PV\s*(?:([-+]\s*[.\deE]+)|\+\s*([-+.\deE]+))?")
OUTSIDE = ("calibration_missing_data", "calibration_out_of_image")
LINEAR = ("RATE", "ACRR", "VIL", "PROB", "QIND", "SNR", "SQI")  # ODIM quantities in which nothing detected is 0


@dataclass(frozen=True)
class Calibration:
    """From stored to physical values, in which missing pixels are NaN; what to say of those; the unit."""

    unpack: Callable[[Frames], Frames]
    said: str
    units: str = ""


def calibration_of(group: Any) -> Calibration | None:
    """Return the calibration of the picture in an HDF5 group; None if there is none.

    Undetected echoes are measurements. They are 0 where 0 means nothing (rain rates), and the lower end of the scale
    where it does not (dBZ).
    """
    if "calibration" in group:
        return _knmi(group["calibration"].attrs)
    what = [node["what"].attrs for node in (group, group.parent) if "what" in node]
    marks = {key: value for attributes in reversed(what) for key, value in attributes.items()}
    if not {"gain", "offset", "nodata", "undetect"} & set(marks):
        return None
    gain, offset = (float(np.ravel(marks.get(key, default))[0]) for key, default in (("gain", 1), ("offset", 0)))
    quantity = text_of(marks.get("quantity", ""))
    nodata = [float(np.ravel(marks["nodata"])[0])] if "nodata" in marks else []
    undetect = [float(np.ravel(marks["undetect"])[0])] if "undetect" in marks else []
    nothing = 0.0 if quantity in LINEAR or offset == 0 else min(offset, offset + gain * sum(undetect))
    said = f"declared (nodata {nodata[0]:g})" if nodata else "none declared"
    said += f"; undetect {undetect[0]:g} is read as {nothing:g}" if undetect else ""

    def unpack(raw: Frames) -> Frames:
        values = raw.astype(np.float32) * np.float32(gain) + np.float32(offset)
        values[np.isin(raw, undetect)] = nothing
        values[np.isin(raw, nodata)] = np.nan
        return values

    return Calibration(unpack, said, quantity)


def _knmi(attributes: Any) -> Calibration:
    match = FORMULA.search(bytes(attributes.get("calibration_formulas", b"")))
    gain, signed, plain = match.groups() if match else (b"1", None, None)
    scale, offset = float(gain), float((signed or plain or b"0").replace(b" ", b""))
    outside = [float(np.ravel(attributes[mark])[0]) for mark in OUTSIDE if mark in attributes]

    def unpack(raw: Frames) -> Frames:
        values = raw.astype(np.float32) * np.float32(scale) + np.float32(offset)
        values[np.isin(raw, outside)] = np.nan
        return values

    listed = ", ".join(f"{value:g}" for value in dict.fromkeys(outside))
    return Calibration(unpack, f"declared ({listed})" if outside else "none declared")
