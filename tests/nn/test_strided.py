"""The strided encoder/decoder: shapes at every depth, the skip, initial values, rejected frames."""

from __future__ import annotations

import pytest
import torch

from stbench import ClipShape
from stbench.errors import UserError
from stbench.nn import (
    PatchCodec,
    StridedCodec,
    StridedDecoder,
    StridedEncoder,
    check_divisible,
    check_odd,
    downsampling,
)


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize(("n_s", "factor"), [(1, 1), (2, 2), (3, 2), (4, 4), (5, 4)])
def test_shapes(n_s: int, factor: int, kernel: int) -> None:
    encoder, decoder = StridedEncoder(3, 6, n_s, kernel), StridedDecoder(6, 3, n_s, kernel)
    x = torch.rand(2, 3, 8, 12)
    features, skip = encoder(x)
    assert downsampling(n_s) == factor
    assert features.shape == (2, 6, 8 // factor, 12 // factor)
    assert skip.shape == (2, 6, 8, 12)
    assert decoder(features, skip).shape == x.shape


def test_the_skip_is_the_first_block_and_enters_the_last() -> None:
    encoder, decoder = StridedEncoder(1, 4, 2, 3), StridedDecoder(4, 1, 2, 3)
    features, skip = encoder(torch.rand(1, 1, 4, 4))
    torch.testing.assert_close(encoder.blocks[1](skip), features)
    upsampled = decoder.blocks[0](features)
    torch.testing.assert_close(decoder(features, skip), decoder.readout(decoder.blocks[1](upsampled + skip)))


def test_initial_values() -> None:
    torch.manual_seed(0)
    conv = StridedEncoder(3, 64, 1, 3).blocks[0].conv
    assert isinstance(conv, torch.nn.Conv2d)
    assert conv.bias is not None
    assert conv.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert not conv.bias.any()


def test_a_frame_that_does_not_divide() -> None:
    with pytest.raises(UserError, match=r"9×8 does not divide by 4, which patch needs. Crop or pad it to 12×8"):
        check_divisible(9, 8, 4, "patch")
    with pytest.raises(UserError, match="kernel_enc = 2: an even kernel"):
        StridedEncoder(1, 4, 2, 2)
    check_odd(3, "kernel")


@pytest.mark.parametrize("hidden", [6, 10])
def test_codecs_have_one_interface(hidden: int) -> None:
    shape = ClipShape(t_in=1, t_out=1, channels=3, height=8, width=12)
    for codec in (PatchCodec(shape, 2, hidden), StridedCodec(shape, hid_s=6, n_s=2, hidden=hidden)):
        features, skip = codec.encode(torch.rand(2, 3, 8, 12))
        assert features.shape == (2, codec.channels, codec.height, codec.width) == (2, codec.channels, 4, 6)
        assert codec.decode(torch.rand(2, hidden, 4, 6), skip).shape == (2, 3, 8, 12)
