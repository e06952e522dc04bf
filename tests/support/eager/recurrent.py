"""ConvLSTM, PredRNN, PredRNN-V2 and PredRNN++. Axes: B, C, H, W; frames are cut into patches."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .base import RolledOut


def gate_conv(c_in: int, c_out: int, kernel: int, size: tuple[int, int], layer_norm: bool) -> nn.Sequential:
    conv = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.LayerNorm([c_out, *size])) if layer_norm else nn.Sequential(conv)


class InPatches(RolledOut):
    """Space to depth and back; channels are fastest in a patch."""

    def __init__(
        self, t_in: int, t_out: int, channels: int, *, size: tuple[int, int], hidden: tuple[int, ...], patch: int
    ) -> None:
        super().__init__(t_in, t_out)
        self.patch = patch
        self.hidden = hidden
        self.size = (size[0] // patch, size[1] // patch)
        self.depth = patch * patch * channels

    def patches(self, frame: Tensor) -> Tensor:
        b, c, h, w = frame.shape
        p = self.patch
        x = frame.reshape(b, c, h // p, p, w // p, p)
        return x.permute(0, 3, 5, 1, 2, 4).reshape(b, p * p * c, h // p, w // p)

    def frames(self, x: Tensor) -> Tensor:
        b, depth, h, w = x.shape
        p = self.patch
        y = x.reshape(b, p, p, depth // (p * p), h, w)
        return y.permute(0, 3, 4, 1, 5, 2).reshape(b, depth // (p * p), h * p, w * p)

    def zeros(self, clip: Tensor, n: int) -> Tensor:
        return torch.zeros(len(clip), n, *self.size, device=clip.device, dtype=clip.dtype)


class Patched(InPatches):
    """Cells on patches; a 1x1 convolution gives the frame."""

    cell: type[nn.Module]

    def __init__(self, *lengths: int, kernel: int, layer_norm: bool = False, **sizes: Any) -> None:
        super().__init__(*lengths, **sizes)
        ins = [self.depth, *self.hidden[:-1]]
        self.cell_list = nn.ModuleList(
            self.cell(c_in, n, kernel, self.size, layer_norm) for c_in, n in zip(ins, self.hidden, strict=True)
        )
        self.conv_last = nn.Conv2d(self.hidden[-1], self.depth, 1, bias=False)


class ConvLSTMCell(nn.Module):
    def __init__(self, c_in: int, n: int, kernel: int, size: tuple[int, int], layer_norm: bool) -> None:
        super().__init__()
        self.n = n
        self.conv_x = gate_conv(c_in, 4 * n, kernel, size, layer_norm)
        self.conv_h = gate_conv(n, 4 * n, kernel, size, layer_norm)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        ix, fx, gx, ox = torch.split(self.conv_x(x), self.n, dim=1)
        ih, fh, gh, oh = torch.split(self.conv_h(h), self.n, dim=1)
        c = torch.sigmoid(fx + fh) * c + torch.sigmoid(ix + ih) * torch.tanh(gx + gh)
        return torch.sigmoid(ox + oh) * torch.tanh(c), c


class ConvLSTM(Patched):
    cell = ConvLSTMCell

    def start(self, clip: Tensor) -> Any:
        return [(self.zeros(clip, n), self.zeros(clip, n)) for n in self.hidden]

    def step(self, frame: Tensor, state: Any) -> tuple[Tensor, Any]:
        x, new = self.patches(frame), []
        for cell, (h, c) in zip(self.cell_list, state, strict=True):
            x, c = cell(x, h, c)
            new.append((x, c))
        return self.frames(self.conv_last(x)), new


class STLSTMCell(nn.Module):
    def __init__(self, c_in: int, n: int, kernel: int, size: tuple[int, int], layer_norm: bool) -> None:
        super().__init__()
        self.n = n
        self.conv_x = gate_conv(c_in, 7 * n, kernel, size, layer_norm)
        self.conv_h = gate_conv(n, 4 * n, kernel, size, layer_norm)
        self.conv_m = gate_conv(n, 3 * n, kernel, size, layer_norm)
        self.conv_o = gate_conv(2 * n, n, kernel, size, layer_norm)
        self.conv_last = nn.Conv2d(2 * n, n, 1, bias=False)

    def forward(self, x: Tensor, h: Tensor, c: Tensor, m: Tensor) -> tuple[Tensor, ...]:
        ix, fx, gx, ix2, fx2, gx2, ox = torch.split(self.conv_x(x), self.n, dim=1)
        ih, fh, gh, oh = torch.split(self.conv_h(h), self.n, dim=1)
        im, fm, gm = torch.split(self.conv_m(m), self.n, dim=1)
        delta_c = torch.sigmoid(ix + ih) * torch.tanh(gx + gh)
        c = torch.sigmoid(fx + fh + 1.0) * c + delta_c
        delta_m = torch.sigmoid(ix2 + im) * torch.tanh(gx2 + gm)
        m = torch.sigmoid(fx2 + fm + 1.0) * m + delta_m
        memory = torch.cat((c, m), 1)
        o = torch.sigmoid(ox + oh + self.conv_o(memory))
        return o * torch.tanh(self.conv_last(memory)), c, m, delta_c, delta_m


class PredRNN(Patched):
    cell = STLSTMCell

    def start(self, clip: Tensor) -> Any:
        layers = [(self.zeros(clip, n), self.zeros(clip, n)) for n in self.hidden]
        return layers, self.zeros(clip, self.hidden[0]), []

    def step(self, frame: Tensor, state: Any) -> tuple[Tensor, Any]:
        layers, m, similarities = state
        x, new = self.patches(frame), []
        for cell, (h, c) in zip(self.cell_list, layers, strict=True):
            x, c, m, delta_c, delta_m = cell(x, h, c, m)
            new.append((x, c))
            similarities = self.compared(similarities, delta_c, delta_m)
        return self.frames(self.conv_last(x)), (new, m, similarities)

    def compared(self, similarities: list[Tensor], delta_c: Tensor, delta_m: Tensor) -> list[Tensor]:
        """PredRNN does not compare its memories."""
        return similarities


class PredRNNv2(PredRNN):
    """Adds the mean |cosine| of the memories' increments to the loss."""

    def __init__(self, *lengths: int, decouple_weight: float = 0.1, **sizes: Any) -> None:
        super().__init__(*lengths, **sizes)
        self.decouple_weight = decouple_weight
        self.adapter = nn.Conv2d(self.hidden[0], self.hidden[0], 1, bias=False)

    def compared(self, similarities: list[Tensor], delta_c: Tensor, delta_m: Tensor) -> list[Tensor]:
        if not self.training:
            return similarities
        a, b = (self.adapter(delta).flatten(2) for delta in (delta_c, delta_m))
        return [*similarities, F.cosine_similarity(a, b, dim=2).abs().mean()]

    def loss(self, clip: Tensor, feed: Tensor) -> Tensor:
        emissions, (_, _, similarities) = self.emissions(clip, feed)
        return F.mse_loss(emissions, clip[:, 1:]) + self.decouple_weight * torch.stack(similarities).mean()


class CausalLSTMCell(nn.Module):
    def __init__(self, c_in: int, n: int, kernel: int, size: tuple[int, int], layer_norm: bool) -> None:
        super().__init__()
        self.n = n
        widths = {"x": (c_in, 7), "h": (n, 4), "c": (n, 3), "m": (n, 3), "c2m": (n, 4), "om": (n, 1)}
        for name, (inputs, gates) in widths.items():
            self.add_module(f"conv_{name}", gate_conv(inputs, gates * n, kernel, size, layer_norm))
        self.conv_last = nn.Conv2d(2 * n, n, 1, bias=False)

    def forward(self, x: Tensor, h: Tensor, c: Tensor, m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        ix, fx, gx, ix2, fx2, gx2, ox = torch.split(self.conv_x(x), self.n, dim=1)
        ih, fh, gh, oh = torch.split(self.conv_h(h), self.n, dim=1)
        im, fm, mm = torch.split(self.conv_m(m), self.n, dim=1)
        ic, fc, gc = torch.split(self.conv_c(c), self.n, dim=1)
        write = torch.sigmoid(ix + ih + ic) * torch.tanh(gx + gh + gc)
        c = torch.sigmoid(fx + fh + fc + 1.0) * c + write
        ik, gk, fk, ok = torch.split(self.conv_c2m(c), self.n, dim=1)
        write = torch.sigmoid(ix2 + im + ik) * torch.tanh(gx2 + gk)
        m = torch.sigmoid(fx2 + fm + fk + 1.0) * torch.tanh(mm) + write
        o = torch.tanh(ox + oh + ok + self.conv_om(m))
        return o * torch.tanh(self.conv_last(torch.cat((c, m), 1))), c, m


class Highway(nn.Module):
    def __init__(self, n: int, kernel: int, size: tuple[int, int], layer_norm: bool) -> None:
        super().__init__()
        self.z_concat = gate_conv(n, 2 * n, kernel, size, layer_norm)
        self.x_concat = gate_conv(n, 2 * n, kernel, size, layer_norm)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        p, u = torch.chunk(self.z_concat(z) + self.x_concat(x), 2, dim=1)
        u = torch.sigmoid(u)
        return u * torch.tanh(p) + (1 - u) * z


class PredRNNpp(Patched):
    cell = CausalLSTMCell

    def __init__(self, *lengths: int, **sizes: Any) -> None:
        super().__init__(*lengths, **sizes)
        layer_norm = sizes.get("layer_norm", False)
        self.gradient_highway = Highway(self.hidden[0], sizes["kernel"], self.size, layer_norm)

    def start(self, clip: Tensor) -> Any:
        layers = [(self.zeros(clip, n), self.zeros(clip, n)) for n in self.hidden]
        return layers, self.zeros(clip, self.hidden[0]), self.zeros(clip, self.hidden[0])

    def step(self, frame: Tensor, state: Any) -> tuple[Tensor, Any]:
        layers, m, z = state
        x, new = self.patches(frame), []
        for level, (cell, (h, c)) in enumerate(zip(self.cell_list, layers, strict=True)):
            if level == 1:
                x = z = self.gradient_highway(x, z)
            x, c, m = cell(x, h, c, m)
            new.append((x, c))
        return self.frames(self.conv_last(x)), (new, m, z)
