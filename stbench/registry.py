"""Plugin look-up: one lazy registry per kind of plugin, filled from entry points."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar, cast

from stbench.errors import UserError, unknown_name

T = TypeVar("T")


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
    def _entries(self) -> dict[str, EntryPoint]:
        entries: dict[str, EntryPoint] = {}
        for entry in entry_points(group=self.group):
            other = entries.setdefault(entry.name, entry)
            if other.value != entry.value:
                raise UserError(
                    f"Two packages declare the {self.kind} {entry.name!r}: {other.value} and {entry.value}. "
                    "Uninstall one or rename its entry point."
                )
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
            UserError: the name is unknown (with a near miss), or the plugin cannot be imported or is of the wrong kind.
        """
        if name not in self._loaded:
            if name not in self._entries:
                raise unknown_name(self.kind, name, self.names())
            self._loaded[name] = self._load(self._entries[name])
        return self._loaded[name]

    def _load(self, entry: EntryPoint) -> T:
        try:
            plugin = entry.load()
            if self._check is not None:
                self._check(plugin)
        except Exception as error:
            raise UserError(
                f"The {self.kind} {entry.name!r} ({entry.value}) cannot be loaded: {type(error).__name__}: {error}"
            ) from error
        return cast("T", plugin)
