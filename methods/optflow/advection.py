"""Semi-Lagrangian advection. Axes: B, T, C, H, W; positions are in pixels.

Source: Germann and Zawadzki, "Scale-Dependence of the Predictability of Precipitation", 2002 (the backward scheme).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Border = Literal["edge", "zero"]


def fill_gaps(clip_BTCHW: Tensor) -> Tensor:
    """Replace each value that is not finite by the pixel's last finite one.

    A pixel without an earlier finite value gets the mean of the clip's finite values, or 0 if there are none.
    """
    finite = clip_BTCHW.isfinite()
    if bool(finite.all()):
        return clip_BTCHW
    known = torch.where(finite, clip_BTCHW, 0.0)
    mean = known.sum(dim=(1, 2, 3, 4)) / finite.sum(dim=(1, 2, 3, 4)).clamp(min=1)
    last = mean[:, None, None, None].expand_as(known[:, 0])
    frames = []
    for t in range(clip_BTCHW.shape[1]):
        last = torch.where(finite[:, t], known[:, t], last)
        frames.append(last)
    return torch.stack(frames, dim=1)


def advect(frame_BCHW: Tensor, back_B2HW: Tensor, leads: int, border: Border) -> Tensor:
    """Advect a frame with constant motion: (B, leads, C, H, W).

    Each pixel is traced back one lead time per step; the frame is interpolated once, bilinearly, at the origin. A step
    uses the displacement at the place from which it starts.

    Args:
        frame_BCHW: the last known frame.
        back_B2HW: displacement of each pixel's content back to the previous frame: rows, columns.
        border: value outside the frame; displacements there are those of the edge.
    """
    height, width = frame_BCHW.shape[2:]
    rows = torch.arange(height, device=frame_BCHW.device, dtype=frame_BCHW.dtype)[:, None].expand(height, width)
    columns = torch.arange(width, device=frame_BCHW.device, dtype=frame_BCHW.dtype).expand(height, width)
    start_B2HW = torch.stack([rows, columns]).expand_as(back_B2HW)
    frames = []
    for _ in range(leads):
        start_B2HW = start_B2HW + interpolate(back_B2HW, start_B2HW, "edge")
        frames.append(interpolate(frame_BCHW, start_B2HW, border))
    return torch.stack(frames, dim=1)


def interpolate(field_BCHW: Tensor, at_B2HW: Tensor, border: Border) -> Tensor:
    """Interpolate a field bilinearly at positions (row, column); exact at whole pixels."""
    height, width = field_BCHW.shape[2:]
    floor = at_B2HW.floor()
    part = at_B2HW - floor
    total = torch.zeros_like(field_BCHW)
    for down in (0, 1):
        for right in (0, 1):
            row, column = floor[:, 0] + down, floor[:, 1] + right
            weight = (part[:, 0] if down else 1 - part[:, 0]) * (part[:, 1] if right else 1 - part[:, 1])
            if border == "zero":
                inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
                weight = weight * inside
            place = row.clamp(0, height - 1).long() * width + column.clamp(0, width - 1).long()
            values = field_BCHW.flatten(2).gather(2, place.flatten(1)[:, None].expand(-1, field_BCHW.shape[1], -1))
            total = total + weight[:, None] * values.view_as(field_BCHW)
    return total
