"""WaST in one pass, and its loss: wavelets entry by entry, every band by its name. Statistics are the running ones."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.methods.oracles.recurrent import sig
from tests.methods.oracles.stacked import gelu
from tests.methods.oracles.tools import Weights

BANDS = ["".join(letters) for letters in product("LH", repeat=3)]


def sign(letter: str, index: int) -> int:
    return -1 if letter == "H" and index else 1


def wavelet(x: Tensor) -> dict[str, Tensor]:
    """(B, C, T, H, W): every band as a signed sum over the eight entries of a cell."""
    cells = list(product((0, 1), repeat=3))
    return {
        band: sum(
            (sign(band[0], t) * sign(band[1], r) * sign(band[2], c) * x[:, :, t::2, r::2, c::2] for t, r, c in cells),
            torch.zeros(()),
        )
        / 8**0.5
        for band in BANDS
    }


def inverse(bands: dict[str, Tensor]) -> Tensor:
    b, c, *size = bands["LLL"].shape
    x = bands["LLL"].new_zeros(b, c, *(2 * side for side in size))
    for t, r, s in product((0, 1), repeat=3):
        terms = [sign(k[0], t) * sign(k[1], r) * sign(k[2], s) * band for k, band in bands.items()]
        x[:, :, t::2, r::2, s::2] = torch.stack(terms).sum(0) / 8**0.5
    return x


def norm(weights: Weights, key: str, x: Tensor) -> Tensor:
    shape = (1, -1, *[1] * (x.ndim - 2))
    mean, var, scale, bias = (
        weights[f"{key}.{name}"].view(shape) for name in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (var + 1e-5).sqrt() * scale + bias


def conv(weights: Weights, key: str, x: Tensor) -> Tensor:
    kernel, bias = weights[f"{key}.weight"], weights.get(f"{key}.bias")
    run = F.conv3d if x.ndim == 5 else F.conv2d
    return run(x, kernel, bias, padding=[side // 2 for side in kernel.shape[2:]], groups=x.shape[1] // kernel.shape[1])


def block3(weights: Weights, key: str, x: Tensor) -> Tensor:
    return gelu(norm(weights, f"{key}.1", conv(weights, f"{key}.0", x)))


def attention(weights: Weights, key: str, u: Tensor) -> Tensor:
    height = u.shape[2]
    line = torch.cat([u.mean(3), u.mean(2)], 2)[..., None]
    line = norm(weights, f"{key}.bn1", conv(weights, f"{key}.conv1", line))
    line = line * (line + 3).clamp(0, 6) / 6
    a_h = sig(conv(weights, f"{key}.conv_h", line[:, :, :height]))
    a_w = sig(conv(weights, f"{key}.conv_w", line[:, :, height:]))
    return u * a_w.transpose(2, 3) * a_h


def stack(weights: Weights, key: str, x: Tensor) -> Tensor:
    index = 0
    while f"{key}.blocks.{index}.norm1.weight" in weights:
        one = f"{key}.blocks.{index}"
        gamma = weights[f"{one}.layer_scale_1"].view(1, -1, 1, 1)
        a = norm(weights, f"{one}.norm1", x)
        lk1, lk2, sk = (
            norm(weights, f"{one}.{name}.1", conv(weights, f"{one}.{name}.0", a)) for name in ("lk1", "lk2", "sk")
        )
        low = attention(weights, f"{one}.low_frequency_attn", lk1 + lk2)
        x = x + gamma * (low + attention(weights, f"{one}.high_frequency_attn", sk))
        mixer = f"{one}.temporal_mixer"
        y = norm(weights, f"{one}.norm2", x)
        y = torch.relu(norm(weights, f"{mixer}.bn1", conv(weights, f"{mixer}.conv_pw", y)))
        y = torch.relu(norm(weights, f"{mixer}.bn2", conv(weights, f"{mixer}.conv_dw", y)))
        squeezed = torch.relu(conv(weights, f"{mixer}.se.conv_reduce", y.mean((2, 3), keepdim=True)))
        y = y * sig(conv(weights, f"{mixer}.se.conv_expand", squeezed))
        x = x + gamma * norm(weights, f"{mixer}.bn3", conv(weights, f"{mixer}.conv_pwl", y))
        index += 1
    return x


def wast(weights: Weights, past: Tensor) -> Tensor:
    """One pass: (B, T, C, H, W) -> the same shape."""
    clip = past.transpose(1, 2)
    b, _, t, h, w = clip.shape
    f1 = stack(weights, "translator1", block3(weights, "conv_in", clip).reshape(b, -1, h, w))
    bands = wavelet(block3(weights, "wavelet_embed1.conv_0", f1.reshape(b, -1, t, h, w)))
    kept = torch.cat([bands[name] for name in BANDS[2:]], 1)
    own = wavelet(clip)
    low, high = (torch.cat([own[name] for name in BANDS if name[2] == letter], 1) for letter in "LH")
    f2 = block3(weights, "wavelet_embed1.conv_1", torch.cat([bands["LLL"], bands["LLH"]], 2))
    f2 = f2 + conv(weights, "wavelet_embed1.conv_emb", torch.cat([low, high], 2))
    f3 = stack(weights, "bottleneck_translator", f2.reshape(b, -1, h // 2, w // 2)).reshape(f2.shape)
    v = block3(weights, "wavelet_recon1.conv_0", f3)
    others = block3(weights, "wavelet_recon1.conv_hi", kept)
    width = v.shape[1]
    up = {"LLL": v[:, :, : t // 2], "LLH": v[:, :, t // 2 :]}
    up |= {name: others[:, i * width : (i + 1) * width] for i, name in enumerate(BANDS[2:])}
    f4 = inverse(up).reshape(b, -1, h, w)
    f5 = stack(weights, "translator2", conv(weights, "translator2.concat_block", torch.cat([f4, f1], 1)))
    out = conv(weights, "conv_out.2", gelu(norm(weights, "conv_out.0", f5.reshape(b, -1, t, h, w))))
    return out.transpose(1, 2)


def low_low(x: Tensor) -> Tensor:
    """Half the sum of every 2×2 cell, odd sides padded with zeros."""
    x = F.pad(x, (0, x.shape[-1] % 2, 0, x.shape[-2] % 2))
    return sum((x[..., r::2, c::2] for r in (0, 1) for c in (0, 1)), torch.zeros(())) / 2


def focal(pred: Tensor, true: Tensor, alpha: float, tau: float, levels: int) -> Tensor:
    """The loss frame by frame and bin by bin."""
    total = pred.new_zeros(())
    for _ in range(levels):
        pred, true = low_low(pred), low_low(true)
        h, w = pred.shape[-2:]
        rows, columns = (
            torch.exp(-2j * torch.pi * torch.outer(torch.arange(n), torch.arange(n)).to(pred.dtype) / n) for n in (h, w)
        )
        terms = []
        for frame in (pred - true).reshape(-1, h, w):
            spectrum = rows @ frame.to(rows.dtype) @ columns / (h * w) ** 0.5
            size = spectrum.abs()
            omega = torch.log(1 + size.detach() ** alpha)
            omega = omega / omega.max() if omega.max() > 0 else omega
            for i, j in product(range(h), range(w)):
                near = any(
                    (i - a) ** 2 + (j - b) ** 2 <= (tau * max(h, w)) ** 2 for a in (0, h - 1) for b in (0, w - 1)
                )
                terms.append(0 * size[i, j] if near else omega[i, j] * size[i, j] ** 2)
        total = total + torch.stack(terms).mean()
    return total
