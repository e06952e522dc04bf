"""MIM: all emissions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.methods.oracles.recurrent import sig, st_lstm, zeros
from tests.methods.oracles.tools import Weights, conv, from_patches, gates, layers, rollout, to_patches


def weighted_lstm(weights: Weights, key: str, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    a = conv(weights, f"{key}.conv_h_concat", h) + conv(weights, f"{key}.conv_x_concat", x)
    i, g, f, o = gates(a, 4)
    on_cell = weights[f"{key}.ct_weight"] * torch.cat([c, c], 1)
    vi, vf = gates(on_cell, 2)
    c = sig(f + vf + 1) * c + sig(i + vi) * torch.tanh(g)
    return sig(o + weights[f"{key}.oc_weight"] * c) * torch.tanh(c), c


def mim(weights: Weights, clip: Tensor, feed: Tensor, patch: int) -> Tensor:
    blocks = layers(weights, "stlstm_layer.") - 1

    def block(key: str, x: Tensor, d: Tensor, h: Tensor, c: Tensor, m: Tensor, s: Tensor) -> tuple[Tensor, ...]:
        it, gt, ot = gates(conv(weights, f"{key}.conv_t_cc", h), 3)
        i_s, gs, fs, o_s = gates(conv(weights, f"{key}.conv_s_cc", m), 4)
        ix, gx, fx, ox = gates(conv(weights, f"{key}.conv_x_cc", x), 4)
        m = sig(fx + fs + 1) * m + sig(ix + i_s) * torch.tanh(gx + gs)
        c, s = weighted_lstm(weights, key, d, c, s)
        c = c + sig(ix + it) * torch.tanh(gx + gt)
        top = torch.tanh(F.conv2d(torch.cat([c, m], 1), weights[f"{key}.conv_last.weight"]))
        return sig(ox + ot + o_s) * top, c, m, s

    def step(frame: Tensor, state: Any) -> tuple[Tensor, Any]:
        t, hc, m, inner, differences = state
        h1, c1, m, *_ = st_lstm(weights, "stlstm_layer.0", to_patches(frame, patch), *hc[0], m)
        new, new_inner, new_differences = [(h1, c1)], [], []
        d, x = h1 - hc[0][0], h1
        for number in range(blocks):
            h_n, c_n = differences[number]
            if t > 0:
                h_n, c_n = weighted_lstm(weights, f"stlstm_layer_diff.{number}", d, h_n, c_n)
            d = h_n
            x, c, m, s = block(f"stlstm_layer.{number + 1}", x, d, *hc[number + 1], m, inner[number].detach())
            new.append((x, c))
            new_inner.append(s)
            new_differences.append((h_n, c_n))
        frame = from_patches(F.conv2d(x, weights["conv_last.weight"]), patch)
        return frame, (t + 1, new, m, new_inner, new_differences)

    zero = zeros(weights, "stlstm_layer.0.conv_h", clip, patch)
    start = (0, [(zero, zero)] * (blocks + 1), zero, [zero] * blocks, [(zero, zero)] * blocks)
    return rollout(step, start, clip, feed)[0]
