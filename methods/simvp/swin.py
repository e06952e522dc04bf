"""SimVP with Swin blocks (Liu et al., ICCV 2021): attention in windows, every second block shifted. Axes: B, N, C."""

from __future__ import annotations

from stbench.errors import UserError
from stbench.nn.stack import BlockPlace
from stbench.nn.window import WindowAttention, fit_window

from .vit import HEADS, TransformerBlock


class SwinBlock(TransformerBlock):
    """Attention in windows, shifted by half a window in blocks of odd index; the feature height sets the window side.

    Shifted windows have no mask, as public weights expect: at the border a window mixes positions of opposite edges.

    Args:
        size: (H', W') of the features.

    Raises:
        UserError: the windows do not tile the features, or the width is below 8.
    """

    def __init__(self, place: BlockPlace, size: tuple[int, int], *, mlp_ratio: float, drop: float) -> None:
        if place.width < HEADS:
            raise UserError(f"A block of width {place.width} is too narrow for {HEADS} heads. Choose hid_t >= {HEADS}.")
        wished = window_side(size[0])
        window, shift = fit_window(size, wished, wished // 2 if place.index % 2 else 0, "n_s")
        attention = WindowAttention(place.width, HEADS, size, window, shift, head_width=place.width // HEADS, drop=drop)
        super().__init__(place, attention, mlp_ratio=mlp_ratio, drop=drop)


def window_side(height: int) -> int:
    """Return the side of the windows for features of a height.

    >>> [window_side(height) for height in (4, 14, 16, 64, 96, 256)]
    [4, 7, 4, 4, 6, 8]
    """
    return 7 if height % 7 == 0 else min(8, max(4, height // 16))
