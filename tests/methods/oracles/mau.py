"""MAU: all emissions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.methods.oracles.recurrent import sig
from tests.methods.oracles.tools import Weights, conv, gates, layers, rollout


def leaky(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.2 * x)


def mau(weights: Weights, clip: Tensor, feed: Tensor, window: int, recall: bool, residual: bool) -> Tensor:
    count = layers(weights, "cell_list.")
    stages = sum(key.endswith(".weight") and key.startswith("decoders.") for key in weights)
    n = weights["srcnn.0.weight"].shape[1]
    h, w = clip.shape[-2] >> stages, clip.shape[-1] >> stages

    def cell(key: str, s: Tensor, t: Tensor, past_s: list[Tensor], past_t: list[Tensor]) -> tuple[Tensor, Tensor]:
        s_query, t_query = conv(weights, f"{key}.conv_s_next", s), conv(weights, f"{key}.conv_t_next", t)
        attended = torch.zeros_like(s)
        for b in range(s.shape[0]):
            scores = torch.stack([(old[b] * s_query[b]).sum() / (n * h * w) ** 0.5 for old in past_s])
            weight = torch.exp(scores) / torch.exp(scores).sum()
            attended[b] = sum(weight[j] * past_t[j][b] for j in range(window))
        fused = sig(t_query) * t + (1 - sig(t_query)) * attended
        tg, tt, ts = gates(conv(weights, f"{key}.conv_t", fused), 3)
        sg, st, ss = gates(conv(weights, f"{key}.conv_s", s), 3)
        new_s = sig(sg) * ss + (1 - sig(sg)) * ts
        return sig(tg) * tt + (1 - sig(tg)) * st, (new_s + s if residual else new_s)

    def step(frame: Tensor, state: Any) -> tuple[Tensor, Any]:
        key = "encoders.0.encoder_t_conv-1"
        features = [leaky(F.conv2d(frame, weights[f"{key}.weight"], weights[f"{key}.bias"]))]
        for i in range(stages):
            key = f"encoders.{i + 1}.encoder_t{i}"
            y = F.conv2d(features[-1], weights[f"{key}.weight"], weights[f"{key}.bias"], stride=2, padding=1)
            features.append(leaky(y))
        s, new = features[-1], []
        for number, (past_s, past_t) in enumerate(state):
            t, out = cell(f"cell_list.{number}", s, past_t[-1], past_s, past_t)
            new.append(([*past_s[1:], s], [*past_t[1:], t]))
            s = out
        for i in range(stages):
            key = f"decoders.{i}.c_decoder{i}"
            kernel, bias = weights[f"{key}.weight"], weights[f"{key}.bias"]
            s = F.conv_transpose2d(s, kernel, bias, stride=2, padding=1, output_padding=1)
            s = leaky(s) if i < stages - 1 else s
            s = s + features[stages - 1 - i] if recall else s
        return F.conv2d(s, weights["srcnn.0.weight"], weights["srcnn.0.bias"]), new

    zero = clip.new_zeros(clip.shape[0], n, h, w)
    return rollout(step, [([zero] * window, [zero] * window)] * count, clip, feed)[0]
