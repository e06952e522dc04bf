"""Frame codecs: encoder and decoder with one interface, interchangeable in recurrent methods.

``encode(frame) -> (features, skip)`` and ``decode(features, skip) -> frame``; a codec without a skip ignores it.
"""

from __future__ import annotations

from torch import Tensor, nn

from stbench.nn.padding import check_divisible
from stbench.nn.patch import depth_to_space, space_to_depth
from stbench.nn.strided import StridedDecoder, StridedEncoder, downsampling
from stbench.schema import ClipShape


class PatchCodec(nn.Module):
    """Encode with space-to-depth; decode with a 1×1 conv without bias and depth-to-space (ConvLSTM family)."""

    def __init__(self, shape: ClipShape, patch: int, hidden: int) -> None:
        super().__init__()
        check_divisible(shape.height, shape.width, patch, "patch")
        self.patch = patch
        self.channels = patch * patch * shape.channels
        self.height, self.width = shape.height // patch, shape.width // patch
        self.readout = nn.Conv2d(hidden, self.channels, 1, bias=False)

    def encode(self, frame: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map (B, C, H, W) to (B, p²C, H/p, W/p), no skip."""
        return space_to_depth(frame, self.patch), None

    def decode(self, features: Tensor, skip: Tensor | None) -> Tensor:  # noqa: ARG002 - one interface
        """Map (B, hidden, H/p, W/p) to (B, C, H, W)."""
        return depth_to_space(self.readout(features), self.patch)


class StridedCodec(nn.Module):
    """The shared strided codec; 1×1 convs adapt it to a temporal module of a different width."""

    def __init__(
        self, shape: ClipShape, *, hid_s: int, n_s: int, hidden: int, kernel_enc: int = 3, kernel_dec: int = 3
    ) -> None:
        super().__init__()
        factor = downsampling(n_s)
        check_divisible(shape.height, shape.width, factor, "n_s")
        self.channels = hid_s
        self.height, self.width = shape.height // factor, shape.width // factor
        self.encoder = StridedEncoder(shape.channels, hid_s, n_s, kernel_enc)
        self.project = nn.Conv2d(hidden, hid_s, 1) if hidden != hid_s else nn.Identity()
        self.decoder = StridedDecoder(hid_s, shape.channels, n_s, kernel_dec)

    def encode(self, frame: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map (B, C, H, W) to (B, hid_s, H', W') and the first block's output."""
        features, skip = self.encoder(frame)
        return features, skip

    def decode(self, features: Tensor, skip: Tensor | None) -> Tensor:
        """Map (B, hidden, H', W') and the skip to (B, C, H, W)."""
        return self.decoder(self.project(features), skip)  # type: ignore[no-any-return]


Codec = PatchCodec | StridedCodec
