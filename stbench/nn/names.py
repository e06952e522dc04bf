"""Parsing of method names: ``plugin``, ``plugin:variant``, ``plugin:key=value``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stbench.errors import UserError, unknown_name
from stbench.settings import load_yaml, put


def split_name(name: str) -> tuple[str, tuple[str, ...]]:
    """Split ``plugin:modifier:…`` (each modifier a variant's name or ``key=value``).

    >>> split_name("tau:no_sa")
    ('tau', ('no_sa',))
    >>> split_name("tau")
    ('tau', ())

    Raises:
        UserError: the part before or after a colon is empty.
    """
    plugin, *modifiers = name.split(":")
    if modifiers and not all((plugin, *modifiers)):
        raise UserError(f"Method {name!r}: a part beside a colon is empty. Write NAME, NAME:VARIANT or NAME:KEY=VALUE.")
    return plugin, tuple(modifiers)


def modifier_settings(name: str, modifiers: Iterable[str], variants: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the hyperparameters set by the modifiers of the method ``name``; later ones win.

    Raises:
        UserError: a variant is unknown, or a value cannot be read as YAML.
    """
    settings: dict[str, Any] = {}
    for modifier in modifiers:
        key, equals, text = modifier.partition("=")
        if equals:
            put(settings, key.split("."), _value(name, text))
        elif modifier in variants:
            settings.update(variants[modifier])
        else:
            raise unknown_name(f"variant of {split_name(name)[0]!r}", modifier, variants)
    return settings


def _value(name: str, text: str) -> Any:
    try:
        return load_yaml(text)
    except ValueError:
        raise UserError(f"method {name!r}: cannot read the value {text!r}. Write it as in a YAML file.") from None
