"""TAU, SimVP-gSTA and SimVP with the inception translator: one pass in evaluation mode."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.methods.oracles.tools import Weights


def c2d(weights: Weights, key: str, x: Tensor, **options: int) -> Tensor:
    kernel = weights[f"{key}.weight"]
    dilation = options.get("dilation", 1)
    stride = options.get("stride", 1)
    padding = dilation * (kernel.shape[-1] - 1) // 2 if stride == 1 else (kernel.shape[-1] - 1) // 2
    bias = weights[f"{key}.bias"]
    return F.conv2d(x, kernel, bias, stride, padding, dilation, x.shape[1] // kernel.shape[1])


def group_norm(weights: Weights, key: str, x: Tensor, groups: int) -> Tensor:
    parts = x.reshape(x.shape[0], groups, -1)
    mean, variance = parts.mean(2, keepdim=True), parts.var(2, unbiased=False, keepdim=True)
    normal = ((parts - mean) / (variance + 1e-5).sqrt()).reshape(x.shape)
    return normal * weights[f"{key}.weight"][:, None, None] + weights[f"{key}.bias"][:, None, None]


def batch_norm(weights: Weights, key: str, x: Tensor) -> Tensor:
    scale = weights[f"{key}.weight"] / (weights[f"{key}.running_var"] + 1e-5).sqrt()
    return (x - weights[f"{key}.running_mean"][:, None, None]) * scale[:, None, None] + weights[f"{key}.bias"][
        :, None, None
    ]


def silu(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-x))


def gelu(x: Tensor) -> Tensor:
    return x * 0.5 * (1 + torch.erf(x / 2**0.5))


def one_pass(weights: Weights, past: Tensor, n_s: int, temporal: Callable[[Tensor], Tensor]) -> Tensor:
    batch, t_in = past.shape[:2]
    x = past.reshape(batch * t_in, *past.shape[2:])
    skip = x
    for i in range(n_s):
        stride = 2 if i % 2 else 1
        key = f"enc.enc.{i}.conv"
        x = silu(group_norm(weights, f"{key}.norm", c2d(weights, f"{key}.conv", x, stride=stride), 2))
        skip = x if i == 0 else skip
    x = temporal(x.reshape(batch, -1, *x.shape[2:])).reshape(x.shape)
    for i in range(n_s):
        mirrored = n_s - 1 - i
        x = x + skip if i == n_s - 1 else x
        key = f"dec.dec.{i}.conv"
        if mirrored % 2:
            y = c2d(weights, f"{key}.conv.0", x)
            n, depth, h, w = y.shape
            x = y.new_zeros(n, depth // 4, 2 * h, 2 * w)
            for r in range(2):
                for s in range(2):
                    x[:, :, r::2, s::2] = y[:, 2 * r + s :: 4]
        else:
            x = c2d(weights, f"{key}.conv", x)
        x = silu(group_norm(weights, f"{key}.norm", x, 2))
    return c2d(weights, "dec.readout", x).reshape(past.shape)


def _stack(weights: Weights, x: Tensor, gate: Callable[[str, Tensor], Tensor]) -> Tensor:
    count = 1 + max(int(key.split(".")[2]) for key in weights if key.startswith("hid.enc."))
    for i in range(count):
        key = f"hid.enc.{i}.block"
        u = batch_norm(weights, f"{key}.norm1", x)
        inner = gate(f"{key}.attn.spatial_gating_unit", gelu(c2d(weights, f"{key}.attn.proj_1", u)))
        x = x + weights[f"{key}.layer_scale_1"][:, None, None] * (u + c2d(weights, f"{key}.attn.proj_2", inner))
        u = c2d(weights, f"{key}.mlp.fc1", batch_norm(weights, f"{key}.norm2", x))
        u = c2d(weights, f"{key}.mlp.fc2", gelu(c2d(weights, f"{key}.mlp.dwconv.dwconv", u)))
        x = x + weights[f"{key}.layer_scale_2"][:, None, None] * u
        if f"hid.enc.{i}.reduction.weight" in weights:
            x = c2d(weights, f"hid.enc.{i}.reduction", x)
    return x


def _decomposed(weights: Weights, key: str, v: Tensor) -> Tensor:
    return c2d(
        weights, f"{key}.conv1", c2d(weights, f"{key}.conv_spatial", c2d(weights, f"{key}.conv0", v), dilation=3)
    )


def tau(weights: Weights, past: Tensor, n_s: int, statical: bool = True, dynamical: bool = True) -> Tensor:
    def gate(key: str, v: Tensor) -> Tensor:
        out = _decomposed(weights, key, v) * v if statical else v
        if dynamical:
            squeezed = torch.relu(v.mean((2, 3)) @ weights[f"{key}.fc.0.weight"].T)
            out = (1 / (1 + torch.exp(-squeezed @ weights[f"{key}.fc.2.weight"].T)))[:, :, None, None] * out
        return out

    return one_pass(weights, past, n_s, lambda x: _stack(weights, x, gate))


def simvp_gsta(weights: Weights, past: Tensor, n_s: int) -> Tensor:
    def gate(key: str, v: Tensor) -> Tensor:
        y = _decomposed(weights, key, v)
        d = v.shape[1]
        return y[:, :d] / (1 + torch.exp(-y[:, d:]))

    return one_pass(weights, past, n_s, lambda x: _stack(weights, x, gate))


def simvp_inception(weights: Weights, past: Tensor, n_s: int, groups: int) -> Tensor:
    n_t = 1 + max(int(key.split(".")[2]) for key in weights if key.startswith("hid.enc."))

    def unit(key: str, x: Tensor) -> Tensor:
        x = c2d(weights, f"{key}.conv1", x)
        shared = groups if x.shape[1] % groups == 0 else 1
        total: Tensor | int = 0
        for j in range(sum(k.startswith(f"{key}.layers.") and k.endswith("conv.weight") for k in weights)):
            y = group_norm(weights, f"{key}.layers.{j}.norm", c2d(weights, f"{key}.layers.{j}.conv", x), shared)
            total = total + torch.where(y > 0, y, 0.2 * y)
        assert isinstance(total, Tensor)
        return total

    def translate(x: Tensor) -> Tensor:
        lower = []
        for i in range(n_t):
            x = unit(f"hid.enc.{i}", x)
            lower.append(x)
        x = unit("hid.dec.0", x)
        for i in range(1, n_t):
            x = unit(f"hid.dec.{i}", torch.cat([x, lower[n_t - 1 - i]], 1))
        return x

    return one_pass(weights, past, n_s, translate)
