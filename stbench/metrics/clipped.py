"""Signal-to-noise ratios of frames clipped to [0, R]."""

from __future__ import annotations

from stbench.metrics.errors import MeanOfFrames

PSNR = MeanOfFrames(
    name="psnr",
    formula="10·log10(R² / mean (ŷ−y)²) after clip; mean of frames; inf where equal",
    unit="dB",
    lower_is_better=False,
    needs=frozenset({"data_range"}),
    shared=("clipped",),
    value=lambda frames: 10 * (frames.peak**2 * frames.pixels / frames.shared["clipped"]).log10(),
)
SNR = MeanOfFrames(
    name="snr",
    formula="10·log10(Σy² / Σ(ŷ−y)²) after clip; mean of frames; inf where equal",
    unit="dB",
    lower_is_better=False,
    needs=frozenset({"data_range"}),
    shared=("signal", "clipped"),
    value=lambda frames: 10 * (frames.shared["signal"] / frames.shared["clipped"]).log10(),
)
