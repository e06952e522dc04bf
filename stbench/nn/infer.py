"""Hyperparameters inferred from the tensor shapes of a state dict in the public layout."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

State = Mapping[str, Tensor]


def size(state: State, key: str, dim: int) -> int | None:
    """Return the length of one axis of a tensor; None if the tensor or the axis is missing."""
    tensor = state.get(key)
    return int(tensor.shape[dim]) if tensor is not None and tensor.ndim > dim else None


def depth(state: State, prefix: str) -> int | None:
    """Count the numbered parts ``prefix.0``, ``prefix.1`` …; None if there are none."""
    pattern = re.compile(re.escape(prefix) + r"\.(\d+)\.")
    return len({found[1] for key in state if (found := pattern.match(key))}) or None


def known(**values: Any) -> dict[str, Any]:
    """Return the values that are not None."""
    return {key: value for key, value in values.items() if value is not None}


def strided_config(state: State) -> dict[str, Any]:
    """Infer width, depth and kernels of the strided encoder and decoder."""
    n_s = depth(state, "enc.enc")
    first, last = "enc.enc.0.conv.conv.weight", f"dec.dec.{(n_s or 1) - 1}.conv.conv.weight"
    return known(
        hid_s=size(state, first, 0), n_s=n_s, kernel_enc=size(state, first, 2), kernel_dec=size(state, last, 2)
    )


def gated_config(state: State) -> dict[str, Any]:
    """Infer width, depth and feed-forward ratio of the gated stack from its second block, which has the full width."""
    wide, narrow = (size(state, "hid.enc.0.block.mlp.fc1.weight", dim) for dim in (0, 1))
    return known(
        hid_t=size(state, "hid.enc.1.block.norm1.weight", 0),
        n_t=depth(state, "hid.enc"),
        mlp_ratio=wide / narrow if wide and narrow else None,
    )


def cells_config(state: State, cells: str, channels: int) -> dict[str, Any]:
    """Infer widths, kernel, patch and layer norm of a stack of gate-convolution cells named ``cells.{l}``.

    A layer without ``conv_h`` is as wide as the first. The patch p follows from the p²·C input channels.
    """
    first = f"{cells}.0.conv_x.0.weight"
    inputs = size(state, first, 1)
    patch = math.isqrt(inputs // channels) if inputs else 0
    width = size(state, f"{cells}.0.conv_h.0.weight", 1)
    layers = range(depth(state, cells) or 0) if width else range(0)
    return known(
        hidden=tuple(size(state, f"{cells}.{layer}.conv_h.0.weight", 1) or width for layer in layers) or None,
        kernel=size(state, first, 2),
        patch=patch if patch and patch * patch * channels == inputs else None,
        layer_norm=f"{cells}.0.conv_x.1.weight" in state if inputs else None,
    )
