"""The network of the Fréchet video distance: I3D as TorchScript, verified by hash before it runs; never fetched.

Axes: B clips, T time, C channels, H, W, D features.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from stbench.files import file_hash
from stbench.metrics.trunks import UnavailableError

ENV = "STBENCH_FVD_WEIGHTS"
FILE = "i3d_torchscript.pt"
SHA256 = "bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2"
SIDE = 224


def video_features(x_BTCHW: Tensor, peak: float) -> Tensor:
    """Return the 400 outputs of each clip, (B, D) float64: frames clipped to [0, peak], at 224×224, in [−1, 1].

    Raises:
        UnavailableError: the weights are not there, or are other ones.
    """
    network = _load(x_BTCHW.device)
    if isinstance(network, str):
        raise UnavailableError(network)
    found = []
    with torch.no_grad(), torch.autocast(x_BTCHW.device.type, enabled=False):
        for clip_TCHW in x_BTCHW:  # one clip at a time: a batch of 224×224 frames would fill the memory
            frames = clip_TCHW.float().clamp(0, peak).mul(2 / peak).sub(1)
            frames = interpolate(frames, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
            video = frames.expand(-1, 3, -1, -1).transpose(0, 1)[None]
            found.append(network(video, rescale=False, resize=False, return_features=True).double())
    return torch.cat(found)


def why_unavailable(channels: int) -> str | None:
    """Return the reason why clips of this many channels cannot be compared here, or None."""
    if channels not in (1, 3):
        return f"fvd is defined for grey and RGB frames, these have {channels} channels"
    network = _load(torch.device("cpu"))
    return network if isinstance(network, str) else None


@lru_cache
def _load(device: torch.device) -> Any:
    """Return the network on a device, or the reason why there is none; TorchScript runs only if the hash fits."""
    named = os.environ.get(ENV)
    path = Path(named) if named else Path(torch.hub.get_dir()) / "checkpoints" / FILE
    if not path.is_file():
        return f"its weights are not at hand: put {FILE} (StyleGAN-V) at {path}, or name it in {ENV}"
    digest = file_hash(path)
    if digest != SHA256:
        return f"{path} (sha256 {digest[:12]}…) is not {FILE} of StyleGAN-V (sha256 {SHA256[:12]}…)"
    return torch.jit.load(path, map_location=device).eval()  # type: ignore[no-untyped-call]
