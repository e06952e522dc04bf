"""PredRNN-V2 (Wang et al., TPAMI 2022): PredRNN with decoupled memories and reverse sampling. Axes: B, C, H, W."""

from __future__ import annotations

from typing import NamedTuple

import torch
from pydantic import NonNegativeFloat
from torch import Tensor, nn
from torch.nn import functional as F

from stbench.nn import Known, Paper, PublicLayout, Sampling, mean_squared_error
from stbench.nn.conv_recurrent import ConvRecurrent, ConvRecurrentConfig, equal_widths, gate_macs
from stbench.schema import ClipShape

from ..predrnn import Increments, SpatiotemporalLSTMCell
from .presets import PRESETS


class PredRNNv2Config(ConvRecurrentConfig):
    """Hyperparameters of PredRNN-V2; ``decouple_weight`` scales the memory decoupling loss."""

    sampling: Sampling = "reverse"
    decouple_weight: NonNegativeFloat = 0.1


class State(NamedTuple):
    """(h, c) of each layer, the shared memory, and, if requested, one similarity per layer and step."""

    layers: list[tuple[Tensor | None, Tensor]]
    m: Tensor | None
    similarities: list[Tensor] | None


class PredRNNv2(ConvRecurrent):
    """Stacked ST-LSTM layers with a loss that decouples their two memories (§3.4)."""

    Config = PredRNNv2Config
    config: PredRNNv2Config
    paper = Paper(
        title="PredRNN: A Recurrent Neural Network for Spatiotemporal Predictive Learning",
        authors="Wang et al.",
        venue="TPAMI 2022",
        url="https://arxiv.org/abs/2103.09504",
    )
    summary = "PredRNN with a memory decoupling loss and reverse scheduled sampling"
    leaves_out_missing = True
    presets = PRESETS
    public_layout = PublicLayout(renames=((r"^cells\.", "cell_list."), (r"^codec\.readout\.", "conv_last.")))

    def __init__(self, shape: ClipShape, config: PredRNNv2Config) -> None:
        super().__init__(shape, config)
        n = equal_widths(config.hidden, "PredRNN-V2")
        self.cells = nn.ModuleList(
            SpatiotemporalLSTMCell(c_in, n, config.kernel, self.size, config.layer_norm) for c_in in self.input_widths
        )
        self.adapter = nn.Conv2d(n, n, 1, bias=False)

    def idle_macs(self) -> int:
        """Count PredRNN's idle MACs, and the adapter, which only the loss needs, twice per layer and step."""
        height, width = self.size
        calls = 2 * len(self.cells) * (self.shape.length - 1)
        adapter = calls * self.adapter.weight.numel() * height * width
        return gate_macs(self, "conv_h", "cells.0.conv_m") + adapter

    def initial_state(self, frame: Tensor) -> State:
        """Return zeros for every layer and for the shared memory."""
        return State([(None, self.zeros(frame, n)) for n in self.config.hidden], None, None)

    def step(self, frame: Tensor, state: State) -> tuple[Tensor, State]:
        """Predict the frame after ``frame`` (B, C, H, W); return it and the new state."""
        x, skip = self.codec.encode(frame)
        m = state.m
        layers: list[tuple[Tensor | None, Tensor]] = []
        for cell, (h, c) in zip(self.cells, state.layers, strict=True):
            x, c, m, increments = cell(x, h, c, m)
            layers.append((x, c))
            if state.similarities is not None:
                state.similarities.append(self.similarity(increments))
        return self.codec.decode(x, skip), State(layers, m, state.similarities)

    def similarity(self, increments: Increments) -> Tensor:
        """Return the mean |cosine| (over batch and channels) between the adapted increments of c and m."""
        delta_c, delta_m = (self.adapter(delta).flatten(2).to(self.adapter.weight.dtype) for delta in increments)
        return F.cosine_similarity(delta_c, delta_m, dim=2).abs().mean()

    def rollout_losses(self, clip: Tensor, feed_true: Tensor, known: Known | None = None) -> dict[str, Tensor]:
        """Return the MSE of all emissions plus ``decouple_weight`` times the mean similarity of the memories."""
        start = self.initial_state(clip[:, 0])._replace(similarities=[])
        emissions, state = self.unroll(clip, feed_true, start)
        mse = mean_squared_error(emissions, clip[:, 1:], known)
        decouple = torch.stack(state.similarities).mean()
        return {"loss": mse + self.config.decouple_weight * decouple, "mse": mse, "decouple": decouple}
