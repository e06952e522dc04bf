"""Public checkpoint files, read as data only; nothing in them is executed."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stbench.errors import UserError
from stbench.train.checkpoint import BEST_PATTERN, RESUME_KEYS

PREFIXES = ("model.", "module.")
"""Prefixes that Lightning and data-parallel wrappers add to keys."""
_OBJECT = re.compile(r"(?:GLOBAL|class|global:?)\s+`?([\w.]+\.[\w.]+)`?")


def read_public_weights(path: Path) -> dict[str, Tensor]:
    """Read the state dict in a ``.pth`` or ``.ckpt`` file, either bare or under ``"state_dict"`` (Lightning).

    Raises:
        UserError: the file is missing, is not a checkpoint, is one of stbench's checkpoints, contains objects besides
            tensors (which are not loaded), or has no state dict.
    """
    content = _read(path)
    if isinstance(content, Mapping) and set(content) >= RESUME_KEYS:
        raise _own(path)
    state = content.get("state_dict", content) if isinstance(content, Mapping) else content
    if not isinstance(state, Mapping) or not state or not all(isinstance(key, str) for key in state):
        raise UserError(f"{path} holds no state dict but a {type(content).__name__}. {_keys(content)}")
    wrong = [key for key, value in state.items() if not isinstance(value, Tensor)]
    if wrong:
        raise UserError(
            f"{path} holds no state dict: {wrong[0]!r} is a {type(state[wrong[0]]).__name__}. {_keys(content)}"
        )
    return _without_prefixes(dict(state))


def _read(path: Path) -> Any:
    if not path.is_file():
        raise UserError(f"{path} is not a file. Give the checkpoint's path.")
    if BEST_PATTERN.fullmatch(path.name):
        raise _own(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = _OBJECT.search(str(error))
        if found is None:
            raise _no_checkpoint(path) from error
        raise UserError(
            f"{path} holds a Python object ({found[1]}), which could run code when opened; nothing was executed. "
            "Give a file of tensors only: torch.save(model.state_dict(), FILE) where you trust the source."
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _no_checkpoint(path) from error


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
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in state):
            return _without_prefixes({key.removeprefix(prefix): value for key, value in state.items()})
    return state
