"""Records of registered kinds, identified by their field ``kind``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import ModelWrapValidatorHandler, model_validator

from stbench.registry import Registry
from stbench.schema.base import Record


class PluginRecord(Record):
    """A record that is parsed by the plugin named in the mapping's ``kind``.

    A base class (one per kind of plugin) sets ``registry``. Each plugin derived from it sets the default of ``kind`` to
    the name of its entry point.
    """

    registry: ClassVar[Registry[Any]]
    default_kind: ClassVar[str | None] = None
    """Kind of a mapping without ``kind``; None if ``kind`` is required."""

    kind: str

    @classmethod
    def resolve(cls, values: Any) -> type[PluginRecord]:
        """Return the class of ``values``: called on a base class, the plugin that their ``kind`` names.

        Raises:
            UserError: the kind is unknown, or its plugin cannot be loaded.
        """
        if "registry" not in vars(cls) or not isinstance(values, Mapping):
            return cls
        kind = values.get("kind", cls.default_kind)
        return cls if kind is None else cls.registry.get(str(kind))

    @model_validator(mode="wrap")
    @classmethod
    def _as_its_kind(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Any:
        plugin = cls.resolve(values)
        return handler(values) if plugin is cls else plugin.model_validate(values)


def record_check(base: type[PluginRecord]) -> Any:
    """Return a registry's check that a plugin is a subclass of ``base`` with a default for ``kind``."""

    def check(plugin: Any) -> None:
        if not (isinstance(plugin, type) and issubclass(plugin, base) and plugin is not base):
            raise TypeError(f"expected a subclass of stbench.schema.{base.__name__}, got {plugin!r}")
        if plugin.model_fields["kind"].is_required():
            raise TypeError(f'{plugin.__name__} has no default for kind; write kind: Literal["…"] = "…"')

    return check
