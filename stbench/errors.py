"""Errors that a user can act on, and the wording of messages."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable

EXIT_USER_ERROR = 2


class UserError(ValueError):
    """A mistake in the user's input (a name, a file, a value); the CLI prints it and exits with code 2.

    The message says what was wrong, the value seen and what to do.
    """


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that the device or the machine is out of memory; does not import torch."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    kinds = (MemoryError,) if cuda is None else (MemoryError, cuda.OutOfMemoryError)
    return isinstance(error, kinds) or "can't allocate memory" in str(error)


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun in the singular or plural.

    >>> counted(1, "run"), counted(2, "run"), counted(2, "stretch", "stretches")
    ('1 run', '2 runs', '2 stretches')
    """
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def did_you_mean(seen: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for a near miss or prefix of a known name, else an empty string.

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
    """Build the error for a name that is not among the known names of a ``kind``."""
    names = sorted(known)
    listing = ", ".join(names) if names else "none"
    return UserError(f"Unknown {kind} {seen!r}.{did_you_mean(seen, names)} Known: {listing}.")
