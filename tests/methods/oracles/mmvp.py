"""MMVP with running statistics: every product of matrices formed, every future frame composed by itself."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.methods.oracles.tools import Weights
from tests.methods.oracles.wast import norm


def conv(weights: Weights, key: str, x: Tensor, stride: int = 1) -> Tensor:
    kernel = weights[f"{key}.weight"]
    run = F.conv3d if kernel.ndim == 5 else F.conv2d
    return run(x, kernel, weights.get(f"{key}.bias"), stride=stride, padding=kernel.shape[-1] // 2)


def leaky(x: Tensor, slope: float = 0.01) -> Tensor:
    return torch.where(x > 0, x, slope * x)


def to_depth(x: Tensor, f: int) -> Tensor:
    """New channel = c·f² + row·f + column."""
    parts = [x[:, c, r::f, s::f] for c in range(x.shape[1]) for r in range(f) for s in range(f)]
    return torch.stack(parts, 1)


def from_depth(x: Tensor, f: int) -> Tensor:
    out = x.new_zeros(x.shape[0], x.shape[1] // f**2, x.shape[2] * f, x.shape[3] * f)
    for c in range(out.shape[1]):
        for r in range(f):
            for s in range(f):
                out[:, c, r::f, s::f] = x[:, c * f * f + r * f + s]
    return out


def dense(weights: Weights, prefix: str, first: int, x: Tensor) -> Tensor:
    number = first
    while f"{prefix}.{number}.RDB1.conv1.weight" in weights:
        y = x
        for name in ("RDB1", "RDB2", "RDB3"):
            key, seen = f"{prefix}.{number}.{name}", [y]
            for i in (1, 2, 3):
                seen.append(leaky(conv(weights, f"{key}.conv{i}", torch.cat(seen, 1)), 0.2))
            y = y + 0.2 * conv(weights, f"{key}.conv4", torch.cat(seen, 1))
        x = x + 0.2 * y
        number += 1
    return x


def down(weights: Weights, key: str, x: Tensor, ratio: int) -> Tensor:
    y = torch.relu(conv(weights, f"{key}.conv2", torch.relu(conv(weights, f"{key}.conv1", x, 2))))
    y = y + F.conv2d(x, weights[f"{key}.shortcut.weight"], weights[f"{key}.shortcut.bias"], stride=2)
    return leaky(F.max_pool2d(y, 2) if ratio == 4 else y)


def motion(weights: Weights, key: str, x: Tensor, batch: int) -> Tensor:
    """(B·T, C, h, w) -> cosines (B, T−1, P, P)."""
    for i in (0, 3, 6):
        x = leaky(norm(weights, f"{key}.{i + 1}", conv(weights, f"{key}.{i}", x)))
    g = x.flatten(2).unflatten(0, (batch, -1))
    g = g / ((g**2).sum(2, keepdim=True).sqrt() + 1e-6)
    return torch.einsum("btci,btcj->btij", g[:, :-1], g[:, 1:])


def nearest(x: Tensor, size: tuple[int, int]) -> Tensor:
    rows, columns = ([i * have // want for i in range(want)] for have, want in zip(x.shape[2:], size, strict=True))
    return x[:, :, rows][:, :, :, columns]


def predict(weights: Weights, past: Tensor, grid: tuple[int, int], t_out: int) -> Tensor:
    """(B, T−1, P, P) -> (B, U, P, P), sample by sample and source position by source position."""
    inner, batch = "hid.predictor.predictor", past.shape[0]

    def step(number: str, x: Tensor, stride: int = 1) -> Tensor:
        x = conv(weights, f"{inner}.conv{number}", x, stride)
        return leaky(norm(weights, f"{inner}.bn{number}", x))

    def over_time(key: str, x: Tensor) -> Tensor:
        clip = conv(weights, f"{inner}.{key}.conv3d", x.transpose(0, 1)[None])
        return leaky(norm(weights, f"{inner}.{key}.bn3d", clip))[0].transpose(0, 1)

    def row(images: Tensor) -> Tensor:
        a = step("_pre_2", step("_pre_1", conv(weights, "hid.predictor.conv1", images[:, None])))
        b = over_time("conv3d_1", step("1_1", a, 2))
        b = leaky(conv(weights, f"{inner}.conv_translate.0", b.reshape(1, -1, *b.shape[2:])))
        b = norm(weights, f"{inner}.bn_translate", b).reshape(t_out, -1, *b.shape[2:])
        v = step("2_1", b, 2)
        v = over_time("temporal_layer", v) if t_out > 1 else leaky(conv(weights, f"{inner}.temporal_layer.0", v))
        f = step("3_1", torch.cat([nearest(v, b.shape[2:]), b], 1))
        return conv(weights, "hid.predictor.out_conv", step("4_1", nearest(f, grid)))[:, 0].flatten(1)

    rows = [torch.stack([row(past[b, :, i].unflatten(1, grid)) for i in range(past.shape[2])], 1) for b in range(batch)]
    return torch.stack(rows)


def shrink(matrices: Tensor, grid: tuple[int, int], low: tuple[int, int]) -> Tensor:
    b, u, p, _ = matrices.shape
    x = F.interpolate(matrices.reshape(b * u * p, 1, *grid), low, mode="bilinear", align_corners=False)
    x = x.reshape(b, u, p, -1).transpose(2, 3).reshape(-1, 1, *grid)
    x = F.interpolate(x, low, mode="bicubic", align_corners=False)
    return x.reshape(b, u, low[0] * low[1], -1).transpose(2, 3)


def soft(m: Tensor) -> Tensor:
    e = torch.exp(m - m.amax((2, 3), keepdim=True))
    return e / e.sum((2, 3), keepdim=True)


def compose(features: Tensor, past: Tensor, future: Tensor) -> Tensor:
    """Features (B·T, C, h, w) of the past -> (B·U, C, h, w)."""
    f = features.flatten(2).unflatten(0, (len(past), -1))
    frames = []
    for u in range(future.shape[1]):
        total, weight = 0.0, 0.0
        for t in range(f.shape[1]):
            product = torch.eye(past.shape[2], dtype=past.dtype).expand(len(past), -1, -1)
            for k in range(t, past.shape[1]):
                product = product @ past[:, k]
            product = product @ future[:, u]
            total, weight = total + f[:, t] @ product, weight + product.sum(1)[:, None]
        frames.append(total / (weight + 1e-6))
    return torch.stack(frames, 1).flatten(0, 1).unflatten(2, features.shape[2:])


def mmvp(weights: Weights, past: Tensor, t_out: int, ratios: tuple[int, ...]) -> Tensor:
    """(B, T, C, H, W) -> (B, U, C, H, W)."""
    frames, top = past.flatten(0, 1), len(ratios)
    features = [dense(weights, "enc.block_rrdb", 0, conv(weights, "enc.inconv", to_depth(frames, 2)))]
    names = [f"enc.pre_downsample_block.{k}" for k in range(top - 2)] + ["enc.downsample_high", "enc.downsample_low"]
    for name, ratio in zip(names, ratios, strict=True):
        features.append(down(weights, name, features[-1], ratio))
    grid, low = (tuple(level.shape[2:]) for level in features[-2:])
    high_past = motion(weights, "filter.filter_block.0", features[-2], len(past))
    high_future = predict(weights, high_past, grid, t_out)
    on_high = soft(high_past), soft(high_future)
    on_low = (
        soft(motion(weights, "filter.filter_block.1", features[-1], len(past))),
        soft(shrink(high_future, grid, low)),
    )

    def moved(x: Tensor) -> Tensor:
        f = x.shape[2] // grid[0]
        return from_depth(compose(to_depth(x, f), *on_high), f)

    kept = {k: moved(features[k]) for k in range(max(0, top - 2), top)}
    x = compose(features[top], *on_low)
    for k in range(top - 1, -1, -1):
        key = "dec.upsample_block_low2high" if k == top - 1 else f"dec.upsample_block.{top - 2 - k}"
        x = F.conv_transpose2d(x, weights[f"{key}.up.weight"], weights[f"{key}.up.bias"], stride=ratios[k])
        x = torch.relu(conv(weights, f"{key}.conv.conv.0", torch.cat([kept[k], x], 1) if k in kept else x))
    x = dense(weights, "dec.rrdb_block", 0, x)
    decoded = from_depth(F.conv2d(x, weights["dec.outc.weight"], weights["dec.outc.bias"]), 2)
    pixels = from_depth(moved(to_depth(frames, 2)), 2)
    x = dense(weights, "enhance.model", 1, conv(weights, "enhance.model.0", torch.cat([decoded, pixels], 1)))
    out = F.conv2d(x, weights["enhance.outconv.weight"], weights["enhance.outconv.bias"])
    return out.unflatten(0, (len(past), t_out))
