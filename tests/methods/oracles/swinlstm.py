"""SwinLSTM-B and -D, channels-first; weights come in the published layout."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.methods.oracles.metaformers import layer_norm, linear, mlp, window_attention
from tests.methods.oracles.tools import Weights, rollout

EPS = 1e-5


def mask(height: int, width: int, w: int, shift: int) -> Tensor:
    """−100 between positions of the rolled grid that lie in different cells of the 3×3 partition."""

    def band(place: int, length: int) -> int:
        return 0 if place < length - w else 1 if place < length - shift else 2

    windows = []
    for top in range(0, height, w):
        for left in range(0, width, w):
            cells = [(band(top + r, height), band(left + c, width)) for r in range(w) for c in range(w)]
            windows.append([[0.0 if a == b else -100.0 for b in cells] for a in cells])
    return torch.tensor(windows)[:, None]


def block(weights: Weights, key: str, a: Tensor, b: Tensor | None, heads: int, window: int, odd: bool) -> Tensor:
    height, width = a.shape[2:]
    w, shift = (window, window // 2 if odd else 0) if min(height, width) > window else (min(height, width), 0)
    z = layer_norm(weights, f"{key}.norm1", a, EPS)
    if b is not None:
        z = linear(weights, f"{key}.red", torch.cat([z, layer_norm(weights, f"{key}.norm1", b, EPS)], 1))
    apart = mask(height, width, w, shift).to(a) if shift else None
    y = a + window_attention(weights, f"{key}.attn", z, heads, w, shift, apart)
    return y + mlp(weights, f"{key}.mlp.", layer_norm(weights, f"{key}.norm2", y, EPS))


def cell(
    weights: Weights, key: str, x: Tensor, state: tuple[Tensor, Tensor], heads: int, window: int
) -> tuple[Tensor, Tensor]:
    h, c = state
    depth = 1 + max(int(k[len(key) :].split(".")[2]) for k in weights if k.startswith(f"{key}.STBs."))
    o = x
    for j in range(depth):
        second = h if j == 0 else None if j % 2 else x
        o = block(weights, f"{key}.STBs.{j}", o, second, heads, window, bool(j % 2))
    gate = 1 / (1 + torch.exp(-o))
    c = gate * (c + torch.tanh(o))
    return gate * torch.tanh(c), c


def merge(weights: Weights, key: str, x: Tensor) -> Tensor:
    parts = [x[:, :, r::2, c::2] for r, c in ((0, 0), (1, 0), (0, 1), (1, 1))]
    return linear(weights, f"{key}.reduction", layer_norm(weights, f"{key}.norm", torch.cat(parts, 1), EPS))


def expand(weights: Weights, key: str, x: Tensor) -> Tensor:
    batch, d, height, width = x.shape
    wide = linear(weights, f"{key}.expand", x)
    out = x.new_zeros(batch, d // 2, 2 * height, 2 * width)
    for r in range(2):
        for c in range(2):
            first = (2 * r + c) * (d // 2)
            out[:, :, r::2, c::2] = wide[:, first : first + d // 2]
    return layer_norm(weights, f"{key}.norm", out, EPS)


def swinlstm(
    weights: Weights, clip: Tensor, feed: Tensor, heads: tuple[int, ...], window: int, sigmoid: bool = True
) -> Tensor:
    """Every emission; B or D as the weights' names say. The first number of heads is B's."""
    deep = any(key.startswith("Downsample") for key in weights)
    enter, leave = ("Downsample", "Upsample.Unembed") if deep else ("ST", "ST.patch_inflated")
    n = len(heads)
    keys = [f"Downsample.layers.{i}" for i in range(n)] + [f"Upsample.layers.{i}" for i in range(n)]
    keys, all_heads = (keys, (*heads, *heads[::-1])) if deep else (["ST.layer"], heads[:1])

    def step(frame: Tensor, states: list[tuple[Tensor, Tensor]] | None) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        kernel, bias = weights[f"{enter}.patch_embed.proj.weight"], weights[f"{enter}.patch_embed.proj.bias"]
        x = layer_norm(weights, f"{enter}.patch_embed.norm", F.conv2d(frame, kernel, bias, stride=2), EPS)
        new = []
        for i, key in enumerate(keys):
            zeros = torch.zeros_like(x)
            new.append(cell(weights, key, x, states[i] if states else (zeros, zeros), all_heads[i], window))
            x = new[-1][0]
            if deep and i < n:
                x = merge(weights, f"Downsample.downsample.{i}", x)
            elif deep:
                x = expand(weights, f"Upsample.upsample.{i - n}", x)
        kernel, bias = weights[f"{leave}.Conv.weight"], weights[f"{leave}.Conv.bias"]
        y = F.conv_transpose2d(x, kernel, bias, stride=2, padding=1, output_padding=1)
        return (1 / (1 + torch.exp(-y)) if sigmoid else y), new

    return rollout(step, None, clip, feed)[0]
