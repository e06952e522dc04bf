"""LPIPS (Zhang et al., CVPR 2018), version 0.1 of the ``lpips`` package, for batches of frames.

Axes: F frames, C channels, H height, W width.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stbench.metrics.trunks import UnavailableError, find_trunk

SMALLEST_FRAME = {"alex": 31, "vgg": 16, "squeeze": 17}
"""Smallest side of a frame, in pixels, that a trunk's pooling supports."""

CHUNK_PIXELS_CPU = 1 << 18
CHUNK_PIXELS_DEVICE = 1 << 22


class Lpips(nn.Module):
    """The package's network with a given trunk; both frames of a pair pass it in one batch."""

    def __init__(self, net: str, trunk: dict[str, Tensor]) -> None:
        super().__init__()
        import lpips

        with torch.device("meta"), warnings.catch_warnings():  # no random start, no download, no warning
            warnings.simplefilter("ignore")
            self.package: Any = lpips.LPIPS(net=net, pretrained=False, pnet_rand=True, verbose=False)
        heads = Path(lpips.__file__).parent / "weights" / "v0.1" / f"{net}.pth"
        state = torch.load(heads, map_location="cpu", weights_only=True)
        state |= {key.replace("lin", "lins.", 1): value for key, value in state.items()}
        state |= {f"net.{key}": trunk[f"features.{key.split('.', 1)[1]}"] for key in self.package.net.state_dict()}
        self.package.load_state_dict(state, strict=False, assign=True)
        self._normalize = lpips.normalize_tensor
        self.requires_grad_(False).eval()

    def forward(self, pred_F3HW: Tensor, true_F3HW: Tensor) -> Tensor:
        """Return the distance of each pair, (F,); frames in [−1, 1]."""
        features = self.package.net(self.package.scaling_layer(torch.cat([pred_F3HW, true_F3HW])))
        distance = pred_F3HW.new_zeros(len(pred_F3HW))
        for layer, head in zip(features, self.package.lins, strict=True):
            pred, true = self._normalize(layer).chunk(2)
            distance = distance + head((pred - true).square()).mean((1, 2, 3))
        return distance


@lru_cache
def _load(net: str, device: torch.device) -> Lpips | str:
    """Return the network on a device, or the reason why there is none; cached per process."""
    try:
        return Lpips(net, find_trunk(net)).to(device)
    except UnavailableError as error:
        return str(error)


def why_unavailable(net: str, frame: tuple[int, int, int]) -> str | None:
    """Return the reason why a trunk cannot score frames (C, H, W) here, or None; may download weights."""
    reason = _undefined(net, frame) or _load(net, torch.device("cpu"))
    return reason if isinstance(reason, str) else None


def _undefined(net: str, frame: tuple[int, int, int]) -> str | None:
    channels, height, width = frame
    if channels not in (1, 3):
        return f"lpips_{net} is defined for grey and RGB frames, these have {channels} channels."
    smallest = SMALLEST_FRAME[net]
    if min(height, width) < smallest:
        return f"lpips_{net} needs frames of at least {smallest}×{smallest} pixels, these are {height}×{width}."
    return None


def trunk_features(net: str, x_FCHW: Tensor, data_range: float) -> Tensor:
    """Return the spatial means of the trunk's last layer, (F, D) float64; frames as in :func:`lpips_frames`.

    Raises:
        UnavailableError: undefined for such frames, or the trunk's weights are not available.
    """
    network = _network(net, x_FCHW)
    parts = []
    with torch.no_grad(), torch.autocast(x_FCHW.device.type, enabled=False), _exact():
        for frames in torch.split(x_FCHW, _chunk(x_FCHW)):
            layers = network.package.net(network.package.scaling_layer(_to_rgb(frames, data_range)))
            parts.append(layers[-1].mean((2, 3)).double())
    return torch.cat(parts)


def lpips_frames(net: str, pred_FCHW: Tensor, true_FCHW: Tensor, data_range: float) -> Tensor:
    """Return the distance of each pair of frames, (F,) float64, after clipping and mapping to [−1, 1].

    Args:
        net: "alex", "vgg" or "squeeze".
        pred_FCHW: predicted frames, grey or RGB.
        true_FCHW: true frames.
        data_range: peak R of the data.

    Raises:
        UnavailableError: undefined for such frames, or the trunk's weights are not available.
    """
    network = _network(net, pred_FCHW)
    size = _chunk(pred_FCHW)
    with torch.no_grad(), torch.autocast(pred_FCHW.device.type, enabled=False), _exact():
        parts = [
            network(_to_rgb(pred, data_range), _to_rgb(true, data_range)).double()
            for pred, true in zip(torch.split(pred_FCHW, size), torch.split(true_FCHW, size), strict=True)
        ]
    return torch.cat(parts)


def _network(net: str, x_FCHW: Tensor) -> Lpips:
    channels, height, width = x_FCHW.shape[1:]
    if reason := _undefined(net, (channels, height, width)):
        raise UnavailableError(reason)
    network = _load(net, x_FCHW.device)
    if isinstance(network, str):
        raise UnavailableError(f"lpips_{net}: {network}")
    return network


def _chunk(x_FCHW: Tensor) -> int:
    """Return the number of frames that pass the network at once."""
    budget = CHUNK_PIXELS_CPU if x_FCHW.device.type == "cpu" else CHUNK_PIXELS_DEVICE
    return max(1, budget // (x_FCHW.shape[-2] * x_FCHW.shape[-1]))


def _exact() -> Any:
    """Keep convolutions from rounding to TF32 within a block."""
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)


def _to_rgb(x_FCHW: Tensor, data_range: float) -> Tensor:
    """Map [0, data_range] to [−1, 1], float32, three channels."""
    scaled = x_FCHW.float().clamp(0, data_range).mul(2 / data_range).sub(1)
    return scaled.expand(-1, 3, -1, -1)
