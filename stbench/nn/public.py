"""Translation between a method's parameter names and those of public checkpoints."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from stbench.errors import UserError


@dataclass(frozen=True)
class PublicLayout:
    """Renaming rules of one method.

    Attributes:
        renames: (pattern, replacement) pairs for ``re.sub`` on an own key; every pair is applied, in order.
        dead: patterns of published keys that the forward pass never uses; they are dropped.
        copies: (pattern, replacement) pairs that map the key of a duplicate to that of the original.
    """

    renames: tuple[tuple[str, str], ...] = ()
    dead: tuple[str, ...] = ()
    copies: tuple[tuple[str, str], ...] = ()

    def public_key(self, own: str) -> str:
        """Return the published name of an own state-dict key."""
        for pattern, replacement in self.renames:
            own = re.sub(pattern, replacement, own)
        return own

    def key_map(self, own_keys: Iterable[str]) -> dict[str, str]:
        """Map own keys to published keys."""
        return {key: self.public_key(key) for key in own_keys}

    def to_own(
        self, published: Mapping[str, Tensor], own_state: Mapping[str, Tensor], method: str
    ) -> dict[str, Tensor]:
        """Rename a public state dict to own keys, strictly.

        Raises:
            UserError: keys are missing or unexpected, shapes differ, or duplicates disagree.
        """
        if not isinstance(published, Mapping):
            raise UserError(f"A state dict of {method} must map keys to tensors, got {type(published).__name__}.")
        live = self._drop_dead(self._merge_copies(published, method))
        keys = self.key_map(own_state)
        missing = [public for public in keys.values() if public not in live]
        unexpected = sorted(set(live) - set(keys.values()))
        wrong = [
            f"{public} is {tuple(live[public].shape)}, expected {tuple(own_state[own].shape)}"
            for own, public in keys.items()
            if public in live and live[public].shape != own_state[own].shape
        ]
        problems = [
            f"{label}: {', '.join(names[:8])}{f' and {len(names) - 8} more' if len(names) > 8 else ''}"
            for label, names in (("missing", missing), ("unexpected", unexpected), ("shape", wrong))
            if names
        ]
        if problems:
            raise UserError(
                f"The state dict does not fit {method} with these hyperparameters. {'; '.join(problems)}. "
                "Check the method's name and its hyperparameters against the file."
            )
        return {own: live[public] for own, public in keys.items()}

    def _merge_copies(self, published: Mapping[str, Tensor], method: str) -> dict[str, Tensor]:
        merged: dict[str, Tensor] = {}
        for key, tensor in published.items():
            if not isinstance(tensor, Tensor):
                raise UserError(
                    f"{key!r} in the state dict of {method} is a {type(tensor).__name__}, not a tensor. "
                    "A file of several parts keeps its weights under a key such as 'state_dict': pass that part."
                )
            first = key
            for pattern, replacement in self.copies:
                first = re.sub(pattern, replacement, first)
            if first in merged and not torch.equal(merged[first], tensor):
                raise UserError(f"The state dict of {method} holds two copies of {first!r} that differ.")
            merged[first] = tensor
        return merged

    def _drop_dead(self, published: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {
            key: tensor
            for key, tensor in published.items()
            if not any(re.fullmatch(pattern, key) for pattern in self.dead)
        }
