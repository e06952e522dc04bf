"""PredFormer: one pass, plain matrix products, weights under their published names.

Tokens are kept (B, T, N, d); every stack copies its sequences out and back, whatever ran before.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .stacked import silu
from .tools import Weights

ORDERS = {
    "fullattention": "A:space_temporal_transformer",
    "facst": "S:space_transformer T:temporal_transformer",
    "facts": "T:temporal_transformer S:space_transformer",
    "binary_st": "S:st_space_transformer T:st_temporal_transformer",
    "binary_ts": "T:ts_temporal_transformer S:ts_space_transformer",
    "triplet_sts": "S:space_transformer_first T:temporal_transformer S:space_transformer_second",
    "triplet_tst": "T:temporal_transformer_first S:space_transformer T:temporal_transformer_second",
    "quadruplet_stts": "S:st_space_transformer T:st_temporal_transformer T:ts_temporal_transformer "
    "S:ts_space_transformer",
    "quadruplet_tsst": "T:ts_temporal_transformer S:ts_space_transformer S:st_space_transformer "
    "T:st_temporal_transformer",
}


def linear(weights: Weights, key: str, x: Tensor) -> Tensor:
    y = x @ weights[f"{key}.weight"].T
    return y + weights[f"{key}.bias"] if f"{key}.bias" in weights else y


def layer_norm(weights: Weights, key: str, x: Tensor) -> Tensor:
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt() * weights[f"{key}.weight"] + weights[f"{key}.bias"]


def table(tokens: int, d: int) -> Tensor:
    """The positions, entry by entry, in numpy."""
    rows = np.array([[a / 10000 ** (2 * (i // 2) / d) for i in range(d)] for a in range(tokens)])
    angles = torch.from_numpy(rows.astype(np.float32))
    return torch.stack([angles[:, i].cos() if i % 2 else angles[:, i].sin() for i in range(d)], dim=1)


def block(weights: Weights, key: str, x: Tensor, heads: int) -> Tensor:
    """Rows of one sequence each: (sequences, tokens, d)."""
    att, mlp = f"{key}.0", f"{key}.1"
    qkv = linear(weights, f"{att}.fn.to_qkv", layer_norm(weights, f"{att}.norm", x))
    width = qkv.shape[-1] // 3
    d_h = width // heads
    outs = []
    for h in range(heads):
        q, k, v = (qkv[..., part * width + h * d_h : part * width + (h + 1) * d_h] for part in range(3))
        logits = q @ k.transpose(1, 2) / math.sqrt(d_h)
        weight = torch.exp(logits - logits.amax(-1, keepdim=True))
        outs.append(weight / weight.sum(-1, keepdim=True) @ v)
    y = torch.cat(outs, dim=-1)
    x = x + (linear(weights, f"{att}.fn.to_out.0", y) if f"{att}.fn.to_out.0.weight" in weights else y)
    z = layer_norm(weights, f"{mlp}.norm", x)
    inner = silu(linear(weights, f"{mlp}.fn.fc1_g", z)) * linear(weights, f"{mlp}.fn.fc1_x", z)
    return x + linear(weights, f"{mlp}.fn.fc2", inner)


def stack(weights: Weights, key: str, kind: str, x: Tensor, heads: int) -> Tensor:
    b, t, n, d = x.shape
    if kind == "S":
        rows = torch.stack([x[i, j] for i in range(b) for j in range(t)])
    elif kind == "T":
        rows = torch.stack([x[i, :, j] for i in range(b) for j in range(n)])
    else:
        rows = x.reshape(b, t * n, d)
    count = 1 + max(int(k[len(key) :].split(".")[2]) for k in weights if k.startswith(f"{key}.layers."))
    for j in range(count):
        rows = block(weights, f"{key}.layers.{j}", rows, heads)
    rows = layer_norm(weights, f"{key}.norm", rows)
    if kind == "T":
        return torch.stack([torch.stack(list(rows[i * n : (i + 1) * n]), dim=1) for i in range(b)])
    return rows.reshape(b, t, n, d)


def predformer(weights: Weights, past: Tensor, settings: dict[str, Any]) -> Tensor:
    """The next T_in frames; ``settings`` name variant, patch, heads and, where set, layer_skip and token_order."""
    p, heads, variant = settings["patch"], settings.get("heads", 8), settings["variant"]
    b, t, c, height, width = past.shape
    h, w = height // p, width // p
    patches = [
        past[:, :, :, i * p : (i + 1) * p, j * p : (j + 1) * p].permute(0, 1, 3, 4, 2).reshape(b, t, -1)
        for i in range(h)
        for j in range(w)
    ]
    x = linear(weights, "to_patch_embedding.1", torch.stack(patches, dim=2))
    x = x + table(t * h * w, x.shape[-1]).to(x).reshape(t, h * w, -1)
    order = [entry.split(":") for entry in ORDERS[variant].split()]
    layers = sorted({int(key.split(".")[1]) for key in weights if key.startswith("blocks.")})
    for prefix in [f"blocks.{i}." for i in layers] or [""]:
        before = x
        for kind, name in order:
            x = stack(weights, prefix + name, kind, x, heads)
        x = x + before if settings.get("layer_skip") else x
    if settings.get("token_order") == "public" and variant == "facst":
        drawn = torch.empty_like(x).reshape(b, t * h * w, -1)
        for a in range(t * h * w):
            drawn[:, a] = x[:, a % t, a // t]
        x = drawn.reshape(x.shape)
    y = linear(weights, "mlp_head.1", layer_norm(weights, "mlp_head.0", x)).reshape(b, t, h * w, c, p, p)
    frames = past.new_zeros(past.shape)
    for a in range(h * w):
        i, j = divmod(a, w)
        frames[:, :, :, i * p : (i + 1) * p, j * p : (j + 1) * p] = y[:, :, a]
    return frames


def repeated(weights: Weights, past: Tensor, t_out: int, settings: dict[str, Any]) -> Tensor:
    """Passes over the own output until T_out frames exist; the surplus is cut."""
    frames = predformer(weights, past, settings)
    while frames.shape[1] < t_out:
        again = predformer(weights, frames[:, -past.shape[1] :], settings)
        frames = torch.cat([frames, again], dim=1)
    return frames[:, :t_out]


def loss(weights: Weights, past: Tensor, future: Tensor, settings: dict[str, Any]) -> Tensor:
    return F.mse_loss(repeated(weights, past, future.shape[1], settings), future)
