"""MAU's own frame encoder and decoder (Chang et al., NeurIPS 2021, §3.4). Axes: B, C, H, W."""

from __future__ import annotations

from torch import Tensor, nn

from stbench.nn import check_divisible
from stbench.schema import ClipShape

SLOPE = 0.2


class MAUCodec(nn.Module):
    """A 1×1 conv, then one 3×3 conv of stride 2 per halving, LeakyReLU after each; the decoder mirrors it.

    ``recall`` adds the encoder's features of the same size after each stage of the decoder.
    """

    def __init__(self, shape: ClipShape, n: int, downsampling: int, recall: bool) -> None:
        super().__init__()
        check_divisible(shape.height, shape.width, downsampling, "downsampling")
        halvings = downsampling.bit_length() - 1
        self.recall = recall
        self.height, self.width = shape.height // downsampling, shape.width // downsampling
        self.embed = nn.Conv2d(shape.channels, n, 1)
        self.down = nn.ModuleList(nn.Conv2d(n, n, 3, stride=2, padding=1) for _ in range(halvings))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(n, n, 3, stride=2, padding=1, output_padding=1) for _ in range(halvings)
        )
        self.act = nn.LeakyReLU(SLOPE)
        self.readout = nn.Conv2d(n, shape.channels, 1)

    def encode(self, frame: Tensor) -> list[Tensor]:
        """Map (B, C, H, W) to the features of every size, from (B, n, H, W) to (B, n, H', W')."""
        features = [self.act(self.embed(frame))]
        for conv in self.down:
            features.append(self.act(conv(features[-1])))
        return features

    def decode(self, x: Tensor, features: list[Tensor]) -> Tensor:
        """Map the last layer's output (B, n, H', W') and the encoder's features to (B, C, H, W)."""
        for stage, conv in enumerate(self.up, start=1):
            x = conv(x)
            if stage < len(self.up):
                x = self.act(x)
            if self.recall:
                x = x + features[-1 - stage]
        return self.readout(x)  # type: ignore[no-any-return]
