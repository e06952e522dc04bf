"""Frames to tokens and back. Axes: B, T, C, H, W, N patches of a frame (row by row), d features of a token."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stbench.nn import EncoderConfig, StridedDecoder, StridedEncoder, check_divisible, downsampling
from stbench.schema import ClipShape


class PatchTokens(nn.Module):
    """PredFormer's codec: a linear map of each p×p patch; back, a LayerNorm and a linear map.

    A patch is read as (row, column, channel) and written as (channel, row, column).
    """

    def __init__(self, shape: ClipShape, patch: int, width: int) -> None:
        super().__init__()
        check_divisible(shape.height, shape.width, patch, "patch")
        self.patch = patch
        self.rows, self.columns = shape.height // patch, shape.width // patch
        values = patch**2 * shape.channels
        self.embed = nn.Linear(values, width)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, values)

    def encode(self, frames_BTCHW: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return tokens (B, T, N, d), no skip."""
        batch, time, channels, _, _ = frames_BTCHW.shape
        grid = frames_BTCHW.reshape(batch, time, channels, self.rows, self.patch, self.columns, self.patch)
        patches = grid.permute(0, 1, 3, 5, 4, 6, 2).flatten(4).flatten(2, 3)
        return self.embed(patches), None

    def decode(self, tokens_BTNd: Tensor, skip: Tensor | None) -> Tensor:  # noqa: ARG002 - one interface
        """Frames (B, T, C, H, W)."""
        batch, time = tokens_BTNd.shape[:2]
        values: Tensor = self.head(self.norm(tokens_BTNd))
        patches = values.reshape(batch, time, self.rows, self.columns, -1, self.patch, self.patch)
        return patches.permute(0, 1, 4, 2, 5, 3, 6).flatten(5).flatten(3, 4)


class StridedTokens(nn.Module):
    """The shared strided codec with each position of its feature map as a token; linear maps match the widths."""

    def __init__(self, shape: ClipShape, width: int, config: EncoderConfig) -> None:
        super().__init__()
        factor = downsampling(config.n_s)
        check_divisible(shape.height, shape.width, factor, "n_s")
        self.rows, self.columns = shape.height // factor, shape.width // factor
        self.encoder = StridedEncoder(shape.channels, config.hid_s, config.n_s, config.kernel_enc)
        self.embed = nn.Linear(config.hid_s, width)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, config.hid_s)
        self.decoder = StridedDecoder(config.hid_s, shape.channels, config.n_s, config.kernel_dec)

    def encode(self, frames_BTCHW: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return tokens (B, T, N, d) and the first block's output for each frame (B·T, hid_s, H, W)."""
        batch, time = frames_BTCHW.shape[:2]
        features, skip = self.encoder(frames_BTCHW.flatten(0, 1))
        tokens: Tensor = self.embed(features.flatten(2).transpose(1, 2))
        return tokens.reshape(batch, time, *tokens.shape[1:]), skip

    def decode(self, tokens_BTNd: Tensor, skip: Tensor | None) -> Tensor:
        """Frames (B, T, C, H, W)."""
        batch, time = tokens_BTNd.shape[:2]
        features = self.head(self.norm(tokens_BTNd)).flatten(0, 1).transpose(1, 2)
        frames: Tensor = self.decoder(features.reshape(batch * time, -1, self.rows, self.columns), skip)
        return frames.reshape(batch, time, *frames.shape[1:])


def sinusoids(tokens: int, width: int) -> Tensor:
    """Return a fixed position table (tokens, width).

    Even columns i hold sin θ, odd ones cos θ, with θ = a / 10000^(2⌊i/2⌋/width) for token a. θ is computed in float64
    and rounded to float32 before sine and cosine, as in the published code. Rounding afterwards changes entries by up
    to 1e-4 when there are thousands of tokens.
    """
    pairs = 2 * (torch.arange(width, dtype=torch.float64) // 2)
    angles = (torch.arange(tokens, dtype=torch.float64)[:, None] / 10_000 ** (pairs / width)).float()
    even = torch.arange(width) % 2 == 0
    return torch.where(even, angles.sin(), angles.cos())
