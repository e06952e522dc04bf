"""Errors that a user can act on, and the wording of messages."""

from __future__ import annotations

import difflib
import errno
import re
import sys
from collections.abc import Iterable

EXIT_MACHINE = 1
EXIT_USER_ERROR = 2
_NAMES = ("ENOSPC", "EDQUOT", "EIO", "EFBIG", "ENOLCK", "ENOMEM", "EMFILE", "ENFILE", "ESTALE", "ENODEV", "ENXIO")
_ERRNOS = frozenset(getattr(errno, name) for name in _NAMES)
"""Errors of the system calls that no other argument of a command would avoid."""
_MACHINE = re.compile(r"DataLoader worker|\bgloo\b|\bnccl\b|connection (closed|reset) by peer", re.IGNORECASE)
"""What torch says, in a plain RuntimeError, of a process that is gone."""


class UserError(ValueError):
    """A mistake in the user's input (a name, a file, a value); the CLI prints it and exits with code 2.

    The message says what was wrong, the value seen and what to do.
    """


class MachineError(OSError):
    """A fault of the machine (a full disk, a lost process); the CLI prints it and exits with code 1.

    It is no result of a method: the run that it stopped can be resumed.
    """


def cannot(what: str, error: OSError, otherwise: str) -> UserError | MachineError:
    """The error for a file operation that failed: a fault of the machine, or a path that the user should change.

    Args:
        what: what could not be done, with the path.
        error: why.
        otherwise: what the user can do.
    """
    kind = MachineError if is_file_fault(error) else UserError
    return kind(f"{what}: {error.strerror or error}. {otherwise}")


def is_file_fault(error: OSError) -> bool:
    """Whether a file operation failed by a fault of the machine, which says nothing about the file."""
    return isinstance(error, MachineError) or error.errno in _ERRNOS


def is_machine_fault(error: BaseException) -> bool:
    """Whether an error says that the machine failed, not what ran on it: files, or a process that is gone."""
    distributed = sys.modules.get("torch.distributed")
    lost = getattr(distributed, "DistError", OSError)
    return isinstance(error, (OSError, lost)) or (isinstance(error, RuntimeError) and bool(_MACHINE.search(str(error))))


def first_line(error: BaseException) -> str:
    """What an error says, on one line; its kind where it says nothing."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


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
