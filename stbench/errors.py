"""Errors a user can act on: what was wrong, the value seen, what to do."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable

EXIT_USER_ERROR = 2


class UserError(ValueError):
    """A mistake in what the user gave (a name, a file, a value); the CLI prints it and exits with code 2."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the device or the machine has no memory left; needs no torch where none is loaded."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    kinds = (MemoryError,) if cuda is None else (MemoryError, cuda.OutOfMemoryError)
    return isinstance(error, kinds) or "can't allocate memory" in str(error)


def did_you_mean(seen: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for a near miss (or the beginning) of a known name, else an empty string.

    >>> did_you_mean("tua", ["tau", "convlstm"])
    " Did you mean 'tau'?"
    >>> did_you_mean("xyz", ["tau"])
    ''
    """
    names = list(known)
    longer = [name for name in names if seen and name.startswith(seen.lower())]
    near = difflib.get_close_matches(seen.lower(), names, n=1, cutoff=0.6) or longer
    return f" Did you mean {near[0]!r}?" if near else ""


def unknown_name(kind: str, seen: str, known: Iterable[str]) -> UserError:
    """Build the error for a name that is not in a closed list of ``kind``s."""
    names = sorted(known)
    listing = ", ".join(names) if names else "none"
    return UserError(f"Unknown {kind} {seen!r}.{did_you_mean(seen, names)} Known: {listing}.")
