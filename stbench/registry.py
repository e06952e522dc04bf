"""Plugin look-up: one lazy registry per kind of plugin, filled from entry points."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar, cast

from stbench.errors import UserError, first_line, unknown_name

T = TypeVar("T")


def broken_plugin(what: str, error: BaseException) -> UserError:
    """The error for a plugin whose own code failed: ``what`` could not be done, and why."""
    return UserError(f"{what}: {type(error).__name__}: {first_line(error)}. Correct or uninstall its package.")


@contextmanager
def foreign_code(what: str) -> Iterator[None]:
    """Turn whatever a plugin's code raises in the block into a :class:`UserError` that names the plugin.

    Args:
        what: the beginning of the message, e.g. "The method 'x' fails in skip".
    """
    try:
        yield
    except (UserError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        raise broken_plugin(what, error) from error


class Registry(Generic[T]):
    """Plugins of one kind by name, loaded on first use.

    Args:
        kind: name of the kind in messages ("method").
        group: entry-point group that declares them.
        check: raises ``TypeError`` if a loaded object is not such a plugin.
        hidden: names that can be loaded but are not listed.
    """

    def __init__(
        self, kind: str, group: str, check: Callable[[Any], None] | None = None, hidden: Collection[str] = ()
    ) -> None:
        self.kind = kind
        self.group = group
        self.hidden = frozenset(hidden)
        self._check = check
        self._loaded: dict[str, T] = {}

    @cached_property
    def _entries(self) -> dict[str, list[EntryPoint]]:
        """The entry points of each name; several where packages clash."""
        entries: dict[str, list[EntryPoint]] = {}
        for entry in entry_points(group=self.group):
            same = entries.setdefault(entry.name, [])
            if entry.value not in {other.value for other in same}:
                same.append(entry)
        return entries

    def names(self) -> list[str]:
        """Return all known names, sorted; loads nothing."""
        return sorted({*self._entries, *self._loaded} - self.hidden)

    def __contains__(self, name: object) -> bool:
        """Return whether a name is known; loads nothing."""
        return name in self._entries or name in self._loaded

    def add(self, name: str, plugin: T) -> None:
        """Register an object directly, such as a plugin read from a file."""
        self._loaded[name] = plugin

    def get(self, name: str) -> T:
        """Load a plugin by name.

        Raises:
            UserError: the name is unknown (with a near miss), two packages declare it, or the plugin cannot be imported
                or is of the wrong kind.
        """
        if name not in self._loaded:
            if name not in self._entries:
                raise unknown_name(self.kind, name, self.names())
            entry, *others = self._entries[name]
            if others:
                values = " and ".join(other.value for other in (entry, *others))
                raise UserError(
                    f"Two packages declare the {self.kind} {name!r}: {values}. Uninstall one or rename its entry point."
                )
            self._loaded[name] = self._load(entry)
        return self._loaded[name]

    def _load(self, entry: EntryPoint) -> T:
        try:
            plugin = entry.load()
            if self._check is not None:
                self._check(plugin)
        except (Exception, SystemExit) as error:  # foreign code, which may even end the process
            raise broken_plugin(f"The {self.kind} {entry.name!r} ({entry.value}) cannot be loaded", error) from error
        return cast("T", plugin)
