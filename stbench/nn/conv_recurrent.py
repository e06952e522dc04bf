"""Base of the ConvLSTM family: hyperparameters, gate convolution, input sampling, frame codec.

Axes: B, C, H, W (H', W' after the codec).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Annotated, Any, ClassVar, cast

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from stbench.errors import UserError
from stbench.nn.codec import Codec, PatchCodec, StridedCodec
from stbench.nn.conv_choice import convolve_blocks
from stbench.nn.fast_conv import Block
from stbench.nn.infer import cells_config
from stbench.nn.method import EncoderConfig, Progress
from stbench.nn.recurrent import RecurrentForecaster
from stbench.nn.sampling import Sampling, feed_mask
from stbench.nn.strided import check_odd
from stbench.schema import ClipShape


class ConvRecurrentConfig(EncoderConfig):
    """Hyperparameters of the family; ``hidden`` has one width per layer."""

    hidden: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (128, 128, 128, 128)
    kernel: PositiveInt = 5
    patch: PositiveInt = 4
    layer_norm: bool = False
    sampling: Sampling = "scheduled"


class GateConv(nn.Sequential):
    """k×k "same" conv with an optional LayerNorm over [C_out, H', W']; an input of None means zeros."""

    def __init__(
        self, c_in: int, c_out: int, kernel: int, size: tuple[int, int], layer_norm: bool, bias: bool = False
    ) -> None:
        conv = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, bias=bias)
        super().__init__(conv, *([nn.LayerNorm([c_out, *size])] if layer_norm else []))
        self.layer_norm = layer_norm
        self.macs = conv.weight.numel() * size[0] * size[1]
        """Multiply-adds of one call on one sample."""

    def forward(self, x: Tensor | None) -> Tensor:
        """Map (B, C_in, H', W') to (B, C_out, H', W'); for None, return the output for zeros without the conv."""
        return super().forward(x) if x is not None else self._of_zero()  # type: ignore[no-untyped-call]

    def _of_zero(self) -> Tensor:
        conv = cast("nn.Conv2d", self[0])
        bias = conv.bias if conv.bias is not None else conv.weight.new_zeros(conv.out_channels)
        spread = bias[None, :, None, None]
        if not self.layer_norm:
            return spread
        norm = cast("nn.LayerNorm", self[1])
        return cast("Tensor", norm(spread.expand(1, *norm.normalized_shape)))


Term = tuple[GateConv, Tensor | None, str]
"""A convolution, its input (None means zeros), and a letter per n output channels: the gate group they add to."""


def sum_gates(*terms: Term) -> dict[str, Tensor]:
    """Return the sum of the terms of every gate group: letter -> (B, k·n, H', W') for k equal letters in a row.

    ``sum_gates((conv_x, x, "ccco"), (conv_h, h, "ccc"))`` adds the output of ``conv_h`` to the first three quarters of
    that of ``conv_x``. All terms with a letter give it the same number of channels. A sum of zeros only may have a
    size of 1 in any axis.
    """
    return _sum_in_one_pass(terms) or _sum_outputs(terms)


def _runs(letters: str) -> list[tuple[str, int]]:
    """Return every letter with how often it stands in a row."""
    return [(letter, len(list(run))) for letter, run in groupby(letters)]


def _sum_outputs(terms: Sequence[Term]) -> dict[str, Tensor]:
    sums: dict[str, Tensor] = {}
    for conv, x, letters in terms:
        y = conv(x)
        runs = _runs(letters)
        parts = y.split([count * y.shape[1] // len(letters) for _, count in runs], dim=1)
        for (letter, _), part in zip(runs, parts, strict=True):
            sums[letter] = sums[letter] + part if letter in sums else part
    return sums


def _sum_in_one_pass(terms: Sequence[Term]) -> dict[str, Tensor] | None:
    """Do the same by a fast algorithm; None where it was not chosen for all of them."""
    known = [(conv, x, letters) for conv, x, letters in terms if x is not None and not conv.layer_norm]
    if not known or len(known) < sum(conv.layer_norm or x is not None for conv, x, _ in terms):
        return None
    numbers: dict[str, int] = {}
    blocks = []
    for term, (conv, _, letters) in enumerate(known):
        n = cast("nn.Conv2d", conv[0]).out_channels // len(letters)
        start = 0
        for letter, count in _runs(letters):
            stop = start + n * count
            blocks.append(Block(term, term, (start, stop), numbers.setdefault(letter, len(numbers))))
            start = stop
    sums = convolve_blocks(blocks, [conv[0] for conv, _, _ in known], [x for _, x, _ in known])
    if sums is None:
        return None
    zero = sums[0].new_zeros(1, 1, 1, 1)
    return {letter: zero for _, _, letters in terms for letter in letters} | dict(zip(numbers, sums, strict=True))


def gate_macs(method: nn.Module, *names: str) -> int:
    """Sum the multiply-adds (one sample, one call) of every :class:`GateConv` with a path that ends in ``names``."""
    convs = (module for path, module in method.named_modules() if path.endswith(names))
    return sum(conv.macs for conv in convs if isinstance(conv, GateConv))


class ConvRecurrent(RecurrentForecaster):
    """A stack of recurrent cells between a frame encoder and decoder, with the configured input sampling."""

    config: ConvRecurrentConfig
    small = {"hidden": (8, 8), "kernel": 3}
    public_cells: ClassVar[str] = "cell_list"
    """Prefix of the cells in public checkpoints."""

    def __init__(self, shape: ClipShape, config: ConvRecurrentConfig) -> None:
        super().__init__(shape, config)
        check_odd(config.kernel, "kernel")
        self.codec = self._codec(shape, config)

    @classmethod
    def infer_config(cls, state_dict: Mapping[str, Tensor], shape: ClipShape) -> dict[str, Any]:
        """Infer widths, kernel, patch and layer norm of the cells."""
        return cells_config(state_dict, cls.public_cells, shape.channels)

    @staticmethod
    def _codec(shape: ClipShape, config: ConvRecurrentConfig) -> Codec:
        top = config.hidden[-1]
        if config.encoder == "paper":
            return PatchCodec(shape, config.patch, top)
        return StridedCodec(
            shape,
            hid_s=config.hid_s,
            n_s=config.n_s,
            hidden=top,
            kernel_enc=config.kernel_enc,
            kernel_dec=config.kernel_dec,
        )

    @property
    def size(self) -> tuple[int, int]:
        """(H', W') of the encoded frame."""
        return self.codec.height, self.codec.width

    @property
    def input_widths(self) -> list[int]:
        """Input channels of each layer."""
        return [self.codec.channels, *self.config.hidden[:-1]]

    def zeros(self, frame: Tensor, channels: int) -> Tensor:
        """Return a zero state (B, channels, H', W') with the device and dtype of ``frame``."""
        return torch.zeros(frame.shape[0], channels, *self.size, device=frame.device, dtype=frame.dtype)

    def draw_feed(self, batch: int, progress: Progress) -> Tensor:
        """Draw which inputs are true frames under the configured sampling: (B, T_in+T_out−1) bool."""
        return feed_mask(self.config.sampling, batch, self.shape.t_in, self.shape.t_out, progress)


def equal_widths(hidden: tuple[int, ...], method: str) -> int:
    """Return the common width of layers that share a memory.

    Raises:
        UserError: the widths differ.
    """
    if len(set(hidden)) != 1:
        raise UserError(f"hidden = {list(hidden)}: {method} passes one memory through all layers; make them equal.")
    return hidden[0]
