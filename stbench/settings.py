"""The grammar of settings: YAML, ``--set KEY=VALUE``, dotted keys, and layers with the origin of each value.

All files and flags with settings are read, merged and reported here, so a key means the same everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources.abc import Traversable
from typing import Any, NamedTuple

import yaml

from stbench.errors import UserError

LARGEST_FILE = 1_000_000
"""Maximum size of a settings file in bytes."""
DEEPEST = 32
"""Maximum nesting of a settings file."""
MOST_VALUES = 200_000
"""Maximum number of values in a settings file after its aliases are expanded."""

Origin = str | Mapping[str, str]
"""Origin of a layer's values: one text, or one per dotted key."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PLAIN_KEY = re.compile(r"[^.:=\s]+(\.[^.:=\s]+)*")
_KEY_OF_VARIANT = re.compile(r"[^.:=\s]+(:[^:]+)+(\.[^.:=\s\]}]+)+")


class Override(NamedTuple):
    """One ``--set KEY=VALUE``: the dotted key and the unparsed text of the value."""

    key: str
    text: str

    @property
    def value(self) -> Any:
        """The value, parsed as in a YAML file.

        >>> Override("stride", "5").value
        5

        Raises:
            UserError: it cannot be parsed.
        """
        try:
            return load_yaml(self.text)
        except ValueError as error:
            raise UserError(
                f"--set {self.key}={self.text}: cannot read the value ({error}). Write it as in a YAML file."
            ) from None


class Resolved(NamedTuple):
    """Merged layers, and the origin of every leaf by dotted key."""

    values: dict[str, Any]
    origins: dict[str, str]


def parse_override(text: str) -> Override:
    """Split ``KEY=VALUE`` at the first "=" that has a complete key before it.

    A key is dotted words. After a method's variant, which may contain "=" itself, at least one more word must follow.

    >>> parse_override("dataset.split.train=a=b")
    Override(key='dataset.split.train', text='a=b')
    >>> parse_override("tau:hid_t=48.lr=1e-3")
    Override(key='tau:hid_t=48.lr', text='1e-3')

    Raises:
        UserError: there is no "=" after a key.
    """
    for found in re.finditer("=", text):
        key = text[: found.start()].strip()
        if _PLAIN_KEY.fullmatch(key) or _KEY_OF_VARIANT.fullmatch(key):
            return Override(key, text[found.end() :].strip())
    raise UserError(f"--set {text!r}: expected KEY=VALUE, e.g. --set tau.lr=1e-3 or --set dataset.stride=5.")


def parse_overrides(texts: Iterable[str] | None) -> list[Override]:
    """Parse the ``--set`` options of a command, which may be None; see :func:`parse_override`."""
    return [parse_override(text) for text in texts or ()]


def below(overrides: Sequence[tuple[str, str]], section: str) -> dict[str, Any]:
    """Return the values of overrides whose key begins with ``section.``, nested by the rest of their keys.

    >>> below([("dataset.augment.crop", "0.9"), ("lr", "1")], "dataset")
    {'augment': {'crop': 0.9}}

    Raises:
        UserError: a value cannot be parsed, or a key is set both to a value and to a mapping.
    """
    values: dict[str, Any] = {}
    for override in overrides:
        key, text = override
        if key.startswith(f"{section}."):
            put(values, key.removeprefix(f"{section}.").split("."), Override(key, text).value)
    return values


def put(target: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Set a nested value, creating mappings as needed.

    Raises:
        UserError: a part of the path already has a plain value.
    """
    for part in path[:-1]:
        target = target.setdefault(part, {})
        if not isinstance(target, dict):
            raise UserError(f"--set {'.'.join(path)}: {part!r} was set to a plain value before. Set one or the other.")
    target[path[-1]] = value


def leaves(values: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every value that is not a non-empty mapping, with the keys that lead to it.

    >>> list(leaves({"a": {"b": 1}, "c": [2]}))
    [(('a', 'b'), 1), (('c',), [2])]
    """
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, (*path, str(key)))
        else:
            yield (*path, str(key)), value


def origin_of(origins: Mapping[str, str], key: str) -> str:
    """Return the origin of a dotted key: its own, that of the mapping around it, or those of the values in it.

    Empty if none is known.

    >>> origin_of({"schedule.kind": "--set", "schedule.warmup": "fragment video"}, "schedule")
    '--set, fragment video'
    """
    inside = [origin for known, origin in origins.items() if known.startswith(f"{key}.")]
    if inside:
        return ", ".join(dict.fromkeys(inside))
    parts = key.split(".")
    ways = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((origins[way] for way in ways if way in origins), "")


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge deeply; ``over`` wins. If both have different values of ``kind``, ``over`` replaces the whole mapping.

    >>> merge({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}})
    {'a': {'x': 1, 'y': 3}}
    >>> merge({"s": {"kind": "cosine", "min_lr": 0}}, {"s": {"kind": "constant"}})
    {'s': {'kind': 'constant'}}
    """
    return dict(resolve([("", {"": base}), ("", {"": over})]).values[""])


def resolve(layers: Iterable[tuple[Origin, Mapping[str, Any]]]) -> Resolved:
    """Merge layers of settings, the weakest first, and record the origin of each leaf. Layers are not changed.

    >>> resolve([("protocol", {"lr": 1, "schedule": {"kind": "cosine"}}), ("--set", {"lr": 2})]).origins
    {'schedule.kind': 'protocol', 'lr': '--set'}
    """
    resolved = Resolved({}, {})
    for origin, values in layers:
        _lay(resolved.values, resolved.origins, values, origin, "")
    return resolved


def _lay(values: dict[str, Any], origins: dict[str, str], over: Mapping[str, Any], origin: Origin, prefix: str) -> None:
    for key, value in over.items():
        path, old = f"{prefix}{key}", values.get(key)
        if (
            isinstance(old, Mapping)
            and isinstance(value, Mapping)
            and old.get("kind", value.get("kind")) == value.get("kind", old.get("kind"))
        ):
            values[key] = dict(old)
            if value:
                origins.pop(path, None)  # an empty mapping has an origin until a value is set in it
            _lay(values[key], origins, value, origin, f"{path}.")
            continue
        for known in [known for known in origins if known == path or known.startswith(f"{path}.")]:
            del origins[known]
        values[key] = value
        for keys, _ in leaves({path: value}):
            leaf = ".".join(keys)
            origins[leaf] = origin if isinstance(origin, str) else origin_of(origin, leaf)


def read_yaml(file: Traversable, kind: type[dict[str, Any]] | type[list[Any]]) -> Any:
    """Read a YAML file that contains a mapping (``dict``) or a list.

    Raises:
        UserError: it cannot be opened or parsed, exceeds the bounds of :func:`load_yaml`, or contains something else.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        raise UserError(f"Cannot read {file}: {error.strerror or error}. Check the file and its permissions.") from None
    try:
        values = load_yaml(content)
    except ValueError as error:
        raise UserError(f"{file} is not valid YAML: {error}. Correct the file.") from None
    if not isinstance(values, kind):
        wanted = "a mapping of keys" if kind is dict else "a list"
        raise UserError(f"{file} must hold {wanted}, found {type(values).__name__}.")
    return values


def load_yaml(text: str | bytes) -> Any:
    """Parse one YAML document, safely and within bounds.

    Expanded aliases are counted before any value is built, so that a small file cannot fill the memory.

    Raises:
        ValueError: it is not valid YAML, a key occurs twice, or it is too large, too deep or refers to itself.
    """
    if len(text) > LARGEST_FILE:
        raise ValueError(f"more than {LARGEST_FILE} bytes, which no file of settings needs")
    try:
        _check_bounds(text)
        loader = _LOADER(text)
        try:
            node = loader.get_single_node()
            _refuse_duplicates(node)
            return None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f" (line {error.problem_mark.line + 1})"
        what = ", ".join(part for part in (error.context, error.problem) if part)
        raise ValueError(f"{what}{line}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(" ".join(str(error).split())) from None
    except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
        raise ValueError(f"a tag that does not fit its value ({error})") from None  # e.g. "!!timestamp x"


def _check_bounds(text: str | bytes) -> None:
    """Check nesting and size on the parser's events, which expand no alias; count the values of every anchor."""
    sizes: dict[str, int] = {}
    anchors: list[str | None] = []
    counts = [0]
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            anchors.append(event.anchor)
            counts.append(1)
            if len(anchors) > DEEPEST:
                raise ValueError(f"nested more than {DEEPEST} levels deep (line {_line(event)})")
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, size = anchors.pop(), counts.pop()
        elif isinstance(event, yaml.ScalarEvent):
            anchor, size = event.anchor, 1
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor in anchors:
                raise ValueError(f"*{event.anchor} refers to itself (line {_line(event)})")
            anchor, size = None, sizes.get(event.anchor or "", 1)
        else:
            continue
        if anchor is not None:
            sizes[anchor] = size
        counts[-1] += size
        if counts[-1] > MOST_VALUES:
            raise ValueError(f"more than {MOST_VALUES} values once its aliases are expanded")


def _line(place: Any) -> int:
    """Return the line of an event or node, from 1; parsed ones always have a mark, which the types do not state."""
    return int(place.start_mark.line) + 1


def _refuse_duplicates(root: yaml.Node | None) -> None:
    """Reject keys that occur twice in a mapping, of which YAML would silently drop the first value."""
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen or not isinstance(node, yaml.CollectionNode):
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
            continue
        known = set()
        for key, value in node.value:
            waiting.append(value)
            if isinstance(key, yaml.ScalarNode) and (key.tag, key.value) in known:
                raise ValueError(f"the key {key.value!r} occurs twice (line {_line(key)})")
            known.add((key.tag, key.value) if isinstance(key, yaml.ScalarNode) else None)
