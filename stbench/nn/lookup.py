"""Look-up and construction of methods by name (entry-point group ``stbench.methods``)."""

from __future__ import annotations

from typing import Any, cast

from stbench.errors import UserError
from stbench.nn.method import Method
from stbench.nn.names import modifier_settings, split_name
from stbench.registry import Registry
from stbench.schema import ClipShape


def _check_method(plugin: Any) -> None:
    if not (isinstance(plugin, type) and issubclass(plugin, Method)):
        raise TypeError(f"expected a subclass of stbench.Method, got {plugin!r}")


METHODS: Registry[type[Method]] = Registry("method", "stbench.methods", _check_method)


def list_methods() -> list[str]:
    """Return the names of all installed methods."""
    return METHODS.names()


def variant_settings(name: str) -> dict[str, Any]:
    """Return the hyperparameters set by the modifiers of a method's name; ``key=value`` parses the value as YAML.

    Raises:
        UserError: the method or a variant is unknown, or a value cannot be read.
    """
    plugin, modifiers = split_name(name)
    return modifier_settings(name, modifiers, METHODS.get(plugin).variants)


def create_method(name: str, shape: ClipShape, **hyperparameters: Any) -> Method:
    """Build a method by name, e.g. ``create_method("tau", shape, hid_s=16)`` or ``create_method("tau:no_sa", shape)``.

    Raises:
        UserError: the name, a variant or a hyperparameter is unknown or wrong, or the shape does not fit the method.
        MemoryError: the method is too large for this machine.
    """
    plugin, _ = split_name(name)
    if not isinstance(shape, ClipShape):
        raise UserError(f"create_method needs a ClipShape, got {type(cast('Any', shape)).__name__}.")
    return METHODS.get(plugin).create(shape, {**variant_settings(name), **hyperparameters}, name)
