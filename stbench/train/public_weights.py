"""Public checkpoint files, read as data only; nothing in them is executed."""

from __future__ import annotations

import argparse
import codecs
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from stbench.errors import UserError
from stbench.train.checkpoint import BEST_PATTERN, RESUME_KEYS

WRAPPERS = ("state_dict", "model_state_dict", "net_param", "model", "net", "network", "module", "params", "weights")
"""Keys under which training scripts keep the weights, beside an optimiser, an epoch, arguments …"""
PREFIXES = ("model.", "module.", "_orig_mod.", "net.", "network.")
"""What Lightning, data-parallel wrappers and torch.compile put before every key."""
COUNTERS = ("total_ops", "total_params")
"""Buffers that the counter thop leaves in every module."""
LFS = b"version https://git-lfs"
_SCALAR = np.float64(0).__reduce__()[0]
HARMLESS: list[Any] = [
    argparse.Namespace,
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("f8", "f4", "i8", "i4", "?")),
    *((_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    codecs.encode,
]
"""What many files hold beside tensors: arguments and numpy's numbers. Building them runs nothing."""
_OBJECT = re.compile(r"(?:GLOBAL|class|global:?)\s+`?([\w.]+\.[\w.]+)`?")


def read_public_weights(path: Path) -> dict[str, Tensor]:
    """The state dict in a ``.pth``, ``.ckpt`` or ``.safetensors`` file, bare or as training scripts wrap it.

    Known wrappings: a key such as ``"state_dict"`` or ``"model"`` (:data:`WRAPPERS`) and prefixes of every key
    (:data:`PREFIXES`). Counters of thop are left out, and so are the tensors beside a Lightning module's ``model.``,
    those of its loss for instance.

    Raises:
        UserError: the file is missing, is not a checkpoint, is one of stbench's checkpoints, contains objects besides
            tensors (which are not loaded), or has no state dict.
    """
    content = _read(path)
    if isinstance(content, Mapping) and set(content) >= RESUME_KEYS:
        raise _own(path)
    state = _unwrapped(content)
    if not isinstance(state, Mapping) or not state or not all(isinstance(key, str) for key in state):
        raise UserError(f"{path} holds no state dict but a {type(content).__name__}. {_keys(content)}")
    wrong = [key for key, value in state.items() if not isinstance(value, Tensor)]
    if wrong:
        raise UserError(
            f"{path} holds no state dict: {wrong[0]!r} is a {type(state[wrong[0]]).__name__}. {_keys(content)}"
        )
    weights = {key: value for key, value in state.items() if key.rpartition(".")[2] not in COUNTERS}
    if not weights:
        raise UserError(f"{path} holds a state dict without weights. {_keys(content)}")
    return _without_prefixes(weights)


def _unwrapped(content: Any) -> Any:
    """What lies under the keys of training scripts, however many of them."""
    while isinstance(content, Mapping):
        inner = next((content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        content = inner
    return content


def _read(path: Path) -> Any:
    if not path.is_file():
        raise UserError(f"{path} is not a file. Give the checkpoint's path.")
    if BEST_PATTERN.fullmatch(path.name):
        raise _own(path)
    with path.open("rb") as stream:
        start = stream.read(len(LFS))
    if start == LFS:
        raise UserError(f"{path} is a pointer of Git LFS, not the weights. Run: git lfs pull --include {path.name}")
    try:
        if start[8:9] == b"{":
            return load_file(path)
        if zipfile.is_zipfile(path):
            _check_sums(path)
        with torch.serialization.safe_globals(HARMLESS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = _OBJECT.search(str(error))
        if found is None:
            raise _no_checkpoint(path) from error
        raise UserError(
            f"{path} holds a Python object ({found[1]}), which could run code when opened; nothing was executed. "
            "Give a file of tensors only: torch.save(model.state_dict(), FILE) where you trust the source."
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # a damaged file fails in any way
        raise _no_checkpoint(path) from error


def _check_sums(path: Path) -> None:
    """Torch neither checks the sums of what it reads nor bounds what is unpacked.

    Raises:
        ValueError: a part is damaged or compressed, which torch.save does not do.
    """
    with zipfile.ZipFile(path) as archive:
        if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()) or archive.testzip():
            raise ValueError("damaged")


def _no_checkpoint(path: Path) -> UserError:
    """Build the error for a file that is not a checkpoint; torch's message about pickles does not help a user."""
    return UserError(
        f"{path} is not a torch checkpoint, or a damaged one ({path.stat().st_size} bytes). "
        "Give a file that torch.save wrote."
    )


def _own(path: Path) -> UserError:
    run = path.absolute().parent.parent
    return UserError(f"{path} is stbench's own checkpoint, not a published one. Use --run {run}.")


def _keys(content: Any) -> str:
    names = [str(key) for key in content][:8] if isinstance(content, Mapping) else []
    return f"Its keys: {', '.join(names)}." if names else "Expected a mapping of names to tensors."


def _without_prefixes(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The keys without a wrapper's prefix: one that all have, or ``model.`` where most have it."""
    for prefix in PREFIXES:
        inside = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        if len(inside) == len(state) or (prefix == PREFIXES[0] and 2 * len(inside) > len(state)):
            return _without_prefixes(inside)
    return state
