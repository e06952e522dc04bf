"""E3D-LSTM frame by frame: explicit zeros, both depth planes, the attention's whole matrix."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.methods.oracles.recurrent import sig
from tests.methods.oracles.tools import Weights, from_patches, gates, layers, rollout, to_patches


def layer_norm(weights: Weights, key: str, x: Tensor) -> Tensor:
    mean = x.mean((1, 2, 3, 4), keepdim=True)
    variance = ((x - mean) ** 2).mean((1, 2, 3, 4), keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt() * weights[f"{key}.weight"] + weights[f"{key}.bias"]


def conv3(weights: Weights, key: str, x: Tensor, stride: int) -> Tensor:
    """Conv, every pixel of the result taken from floor(i·in/out), LayerNorm where the weights hold one."""
    y = F.conv3d(x, weights[f"{key}.0.conv3d.weight"], stride=stride, padding=(0, 2, 2))
    for axis in (2, 3, 4):
        index = [i * y.shape[axis] // x.shape[axis] for i in range(x.shape[axis])]
        y = torch.stack([y.select(axis, i) for i in index], axis)
    return layer_norm(weights, f"{key}.1", y) if f"{key}.1.weight" in weights else y


def rows_of(x: Tensor, n: int, channels: bool) -> Tensor:
    return x.permute(0, 2, 3, 4, 1).reshape(len(x), -1, n) if channels else x.reshape(len(x), -1, n)


def recall(r: Tensor, history: list[Tensor], channels: bool) -> Tensor:
    n = r.shape[1]
    query, keys = rows_of(r, n, channels), torch.cat([rows_of(c, n, channels) for c in history], 1)
    scores = torch.einsum("bqn,bkn->bqk", query, keys)
    scores = torch.exp(scores - scores.amax(2, keepdim=True))
    found = torch.einsum("bqk,bkn->bqn", scores / scores.sum(2, keepdim=True), keys)
    if channels:
        return found.reshape(len(r), *r.shape[2:], n).permute(0, 4, 1, 2, 3)
    return found.reshape(r.shape)


def e3dlstm(
    weights: Weights,
    clip: Tensor,
    feed: Tensor,
    patch: int,
    stride: int = 1,
    carried: bool = False,
    channels: bool = False,
) -> Tensor:
    n = weights["cell_list.0.conv_h.0.conv3d.weight"].shape[1]
    count, area = layers(weights, "cell_list."), (clip.shape[-2] // patch, clip.shape[-1] // patch)
    zero = clip.new_zeros(len(clip), n, 2, *area)

    def cell(key: str, x: Tensor, h: Tensor, history: list[Tensor], m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        def conv(name: str, y: Tensor) -> Tensor:
            return conv3(weights, f"{key}.{name}", y, stride)

        gx, gh = gates(conv("conv_x", x), 7), gates(conv("conv_h", h), 4)
        if carried:
            gm = gates(conv("conv_gm", m), 4)
        else:  # a zero memory gives 0, or its LayerNorm's bias
            gm = [zero] * 4
            if f"{key}.conv_gm.1.bias" in weights:
                gm = gates(weights[f"{key}.conv_gm.1.bias"].expand(len(clip), -1, -1, -1, -1), 4)
        r = sig(gx[2] + gh[2])
        c = layer_norm(weights, f"{key}._norm_c_t", history[-1] + recall(r, history, channels))
        c = c + sig(gx[0] + gh[0]) * torch.tanh(gx[1] + gh[1])
        m = sig(gx[6] + gm[1] + 1) * torch.tanh(gm[3]) + sig(gx[4] + gm[0]) * torch.tanh(gx[5] + gm[2])
        o = torch.tanh(gx[3] + gh[3] + conv("conv_new_cell", c) + conv("conv_new_gm", m))
        h = sig(o) * torch.tanh(F.conv3d(torch.cat([c, m], 1), weights[f"{key}.conv_last.conv3d.weight"]))
        return h, c, m

    def step(frame: Tensor, state: Any) -> tuple[Tensor, Any]:
        before, hs, histories, m = state
        now = to_patches(frame, patch)
        x, new_h, new_histories = torch.stack([before, now], 2), [], []
        for number in range(count):
            x, c, newer = cell(f"cell_list.{number}", x, hs[number], histories[number], m)
            m = newer if carried else m
            new_h.append(x)
            new_histories.append([*histories[number], c])
        emission = F.conv3d(x, weights["conv_last.weight"], stride=(2, 1, 1))[:, :, 0]
        return from_patches(emission, patch), (now, new_h, new_histories, m)

    state = (to_patches(clip[:, 0] * 0, patch), [zero] * count, [[zero]] * count, zero)
    return rollout(step, state, clip, feed)[0]
