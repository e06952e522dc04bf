"""SimVP's MetaFormer translators, channels-first and operator by operator; weights come in the published layout.

Tokens are (B, C, H, W) throughout, linear maps are 1×1 convolutions, norms and attention are written out.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.methods.oracles import stacked
from tests.methods.oracles.stacked import c2d, gelu, group_norm, one_pass, silu
from tests.methods.oracles.tools import Weights

HEADS = 8


def linear(weights: Weights, key: str, x: Tensor) -> Tensor:
    kernel = weights[f"{key}.weight"]
    return F.conv2d(x, kernel.reshape(*kernel.shape[:2], 1, 1), weights.get(f"{key}.bias"))


def layer_norm(weights: Weights, key: str, x: Tensor, eps: float) -> Tensor:
    """Over the channels of each position."""
    mean = x.mean(1, keepdim=True)
    variance = ((x - mean) ** 2).mean(1, keepdim=True)
    normal = (x - mean) / (variance + eps).sqrt()
    return normal * weights[f"{key}.weight"][:, None, None] + weights[f"{key}.bias"][:, None, None]


def mlp(weights: Weights, key: str, x: Tensor, names: tuple[str, str] = ("fc1", "fc2")) -> Tensor:
    return linear(weights, f"{key}{names[1]}", gelu(linear(weights, f"{key}{names[0]}", x)))


def scaled(weights: Weights, key: str, x: Tensor) -> Tensor:
    return weights[key].reshape(-1, 1, 1) * x


def attention(weights: Weights, key: str, x: Tensor, heads: int, bias: Tensor | None = None) -> Tensor:
    """Over all positions of (B, C, H, W); ``bias`` is (heads, query, key) or (B, heads, query, key)."""
    batch, _, height, width = x.shape
    qkv = linear(weights, f"{key}.qkv", x).reshape(batch, 3, heads, -1, height * width)
    q, k, v = qkv[:, 0], qkv[:, 1], qkv[:, 2]
    logits = torch.einsum("bhei,bhej->bhij", q, k) / q.shape[2] ** 0.5
    logits = logits if bias is None else logits + bias
    out = torch.einsum("bhij,bhej->bhei", logits.softmax(-1), v)
    return linear(weights, f"{key}.proj", out.reshape(batch, -1, height, width))


def window_bias(table: Tensor, w: int) -> Tensor:
    """(heads, w², w²) from ((2w−1)², heads)."""
    rows = [
        (p // w - q // w + w - 1) * (2 * w - 1) + (p % w - q % w + w - 1) for p in range(w * w) for q in range(w * w)
    ]
    return table[torch.tensor(rows)].reshape(w * w, w * w, -1).permute(2, 0, 1)


def window_attention(
    weights: Weights, key: str, x: Tensor, heads: int, w: int, shift: int, mask: Tensor | None = None
) -> Tensor:
    """``mask`` is (windows, 1, w², w²), added window by window."""
    batch, channels, height, width = x.shape
    x = x.roll((-shift, -shift), (2, 3))
    cut = x.reshape(batch, channels, height // w, w, width // w, w).permute(0, 2, 4, 1, 3, 5)
    bias = window_bias(weights[f"{key}.relative_position_bias_table"], w)
    if mask is not None:
        bias = (bias + mask).repeat(batch, 1, 1, 1)
    y = attention(weights, key, cut.reshape(-1, channels, w, w), heads, bias)
    y = y.reshape(batch, height // w, width // w, channels, w, w).permute(0, 3, 1, 4, 2, 5)
    return y.reshape(batch, channels, height, width).roll((shift, shift), (2, 3))


def _vit(weights: Weights, key: str, x: Tensor, index: int) -> Tensor:
    x = x + attention(weights, f"{key}.attn", layer_norm(weights, f"{key}.norm1", x, 1e-5), HEADS)
    return x + mlp(weights, f"{key}.mlp.", layer_norm(weights, f"{key}.norm2", x, 1e-5))


def _swin(weights: Weights, key: str, x: Tensor, index: int) -> Tensor:
    height, width = x.shape[2:]
    w = 7 if height % 7 == 0 else min(8, max(4, height // 16))
    shift = w // 2 if index % 2 else 0
    if min(height, width) <= w:
        w, shift = min(height, width), 0
    u = layer_norm(weights, f"{key}.norm1", x, 1e-5)
    x = x + window_attention(weights, f"{key}.attn", u, HEADS, w, shift)
    return x + mlp(weights, f"{key}.mlp.", layer_norm(weights, f"{key}.norm2", x, 1e-5))


def _uniformer(weights: Weights, key: str, x: Tensor, index: int) -> Tensor:
    x = x + c2d(weights, f"{key}.pos_embed", x)
    if index > 0 and f"{key.removesuffix('.block')}.reduction.weight" not in weights:
        u = attention(weights, f"{key}.attn", layer_norm(weights, f"{key}.norm1", x, 1e-5), HEADS)
        x = x + scaled(weights, f"{key}.gamma_1", u)
        u = mlp(weights, f"{key}.mlp.", layer_norm(weights, f"{key}.norm2", x, 1e-5))
        return x + scaled(weights, f"{key}.gamma_2", u)
    u = c2d(weights, f"{key}.conv1", stacked.batch_norm(weights, f"{key}.norm1", x))
    x = x + c2d(weights, f"{key}.conv2", c2d(weights, f"{key}.attn", u))
    return x + mlp(weights, f"{key}.mlp.", stacked.batch_norm(weights, f"{key}.norm2", x))


def _mlp(weights: Weights, key: str, x: Tensor, index: int) -> Tensor:
    batch, channels, height, width = x.shape
    u = layer_norm(weights, f"{key}.norm1", x, 1e-6).reshape(batch, channels, height * width)
    u = gelu(u @ weights[f"{key}.mlp_tokens.fc1.weight"].T + weights[f"{key}.mlp_tokens.fc1.bias"])
    u = u @ weights[f"{key}.mlp_tokens.fc2.weight"].T + weights[f"{key}.mlp_tokens.fc2.bias"]
    x = x + u.reshape(x.shape)
    return x + mlp(weights, f"{key}.mlp_channels.", layer_norm(weights, f"{key}.norm2", x, 1e-6))


def _convmixer(weights: Weights, key: str, x: Tensor, index: int) -> Tensor:
    x = x + stacked.batch_norm(weights, f"{key}.norm_1", gelu(c2d(weights, f"{key}.conv_dw", x)))
    return stacked.batch_norm(weights, f"{key}.norm_2", gelu(c2d(weights, f"{key}.conv_pw", x)))


def _poolformer(weights: Weights, key: str, x: Tensor, index: int) -> Tensor:
    u = group_norm(weights, f"{key}.norm1", x, 1)
    sums, counts = (
        sum(F.pad(t, (1, 1, 1, 1))[..., r : r + x.shape[2], c : c + x.shape[3]] for r in range(3) for c in range(3))
        for t in (u, torch.ones_like(u))
    )
    x = x + scaled(weights, f"{key}.layer_scale_1", sums / counts - u)
    return x + scaled(
        weights, f"{key}.layer_scale_2", mlp(weights, f"{key}.mlp.", group_norm(weights, f"{key}.norm2", x, 1))
    )


def _convnext(weights: Weights, key: str, x: Tensor, index: int) -> Tensor:
    u = layer_norm(weights, f"{key}.norm", c2d(weights, f"{key}.conv_dw", x), 1e-6)
    return x + scaled(weights, f"{key}.gamma", mlp(weights, f"{key}.mlp.", u))


def _hornet(weights: Weights, key: str, x: Tensor, index: int) -> Tensor:
    d = x.shape[1]
    y = c2d(weights, f"{key}.gnconv.proj_in", layer_norm(weights, f"{key}.norm1", x, 1e-6))
    widths = (d // 8, d // 4, d // 2, d)
    b = c2d(weights, f"{key}.gnconv.dwconv", y[:, d // 8 :])
    p = y[:, : d // 8]
    start = 0
    for k, wide in enumerate(widths):
        p = p if k == 0 else c2d(weights, f"{key}.gnconv.pws.{k - 1}", p)
        p = p * b[:, start : start + wide]
        start += wide
    x = x + scaled(weights, f"{key}.gamma1", c2d(weights, f"{key}.gnconv.proj_out", p))
    u = mlp(weights, f"{key}.", layer_norm(weights, f"{key}.norm2", x, 1e-6), ("pwconv1", "pwconv2"))
    return x + scaled(weights, f"{key}.gamma2", u)


def _moga(weights: Weights, key: str, x: Tensor, index: int) -> Tensor:
    d = x.shape[1]
    u = stacked.batch_norm(weights, f"{key}.norm1", x)
    v = c2d(weights, f"{key}.attn.proj_1", u)
    v = silu(v + scaled(weights, f"{key}.attn.sigma", v - v.mean((2, 3), keepdim=True)))
    y = c2d(weights, f"{key}.attn.value.DW_conv0", v)
    low, middle, high = y[:, : d // 8], y[:, d // 8 : d // 2], y[:, d // 2 :]
    middle = c2d(weights, f"{key}.attn.value.DW_conv1", middle, dilation=2)
    high = c2d(weights, f"{key}.attn.value.DW_conv2", high, dilation=3)
    h = c2d(weights, f"{key}.attn.value.PW_conv", torch.cat([low, middle, high], 1))
    gated = silu(c2d(weights, f"{key}.attn.gate", v)) * silu(h)
    x = x + scaled(weights, f"{key}.layer_scale_1", u + c2d(weights, f"{key}.attn.proj_2", gated))
    y = c2d(weights, f"{key}.mlp.fc1", stacked.batch_norm(weights, f"{key}.norm2", x))
    y = gelu(c2d(weights, f"{key}.mlp.dwconv", y))
    y = y + scaled(weights, f"{key}.mlp.sigma", y - gelu(c2d(weights, f"{key}.mlp.decompose", y)))
    return x + scaled(weights, f"{key}.layer_scale_2", c2d(weights, f"{key}.mlp.fc2", y))


def _van(weights: Weights, key: str, x: Tensor, index: int) -> Tensor:
    u = stacked.batch_norm(weights, f"{key}.norm1", x)
    v = gelu(c2d(weights, f"{key}.attn.proj_1", u))
    gate = f"{key}.attn.spatial_gating_unit"
    y = c2d(weights, f"{gate}.conv_spatial", c2d(weights, f"{gate}.conv0", v), dilation=3)
    y = v * c2d(weights, f"{gate}.conv1", y)
    x = x + scaled(weights, f"{key}.layer_scale_1", u + c2d(weights, f"{key}.attn.proj_2", y))
    y = c2d(weights, f"{key}.mlp.fc1", stacked.batch_norm(weights, f"{key}.norm2", x))
    y = c2d(weights, f"{key}.mlp.fc2", gelu(c2d(weights, f"{key}.mlp.dwconv.dwconv", y)))
    return x + scaled(weights, f"{key}.layer_scale_2", y)


BLOCKS = {
    "vit": _vit,
    "swin": _swin,
    "uniformer": _uniformer,
    "mlp": _mlp,
    "convmixer": _convmixer,
    "poolformer": _poolformer,
    "convnext": _convnext,
    "van": _van,
    "hornet": _hornet,
    "moga": _moga,
}


def simvp_metaformer(weights: Weights, past: Tensor, n_s: int, kind: str) -> Tensor:
    """One pass of SimVP with one kind of block."""
    n_t = 1 + max(int(key.split(".")[2]) for key in weights if key.startswith("hid.enc."))

    def translate(x: Tensor) -> Tensor:
        for i in range(n_t):
            x = BLOCKS[kind](weights, f"hid.enc.{i}.block", x, i)
            if f"hid.enc.{i}.reduction.weight" in weights:
                x = c2d(weights, f"hid.enc.{i}.reduction", x)
        return x

    return one_pass(weights, past, n_s, translate)
