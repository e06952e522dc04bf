"""What a search varies: ``space.yaml``, with the keys of ``--set`` and the range of each.

``training.lr: {log: [1e-4, 1e-2]}`` is for all methods, ``METHOD.KEY`` or a section ``METHOD:`` for one, which wins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from stbench.errors import UserError, did_you_mean
from stbench.nn import METHODS
from stbench.settings import Override, leaves, read_yaml
from stbench.sweep.experiment import as_yaml
from stbench.sweep.overrides import SECTIONS, check_targets, for_method

Kind = Literal["float", "log", "int", "choice"]
EXAMPLE = "{log: [1e-4, 1e-2]}, {float: [0, 0.3]}, {int: [2, 8]} or {choice: [8, 16]}"
ONE_FOR_ALL = ("precision",)
"""Training keys that all runs of a command share."""


@dataclass(frozen=True)
class Domain:
    """Values that a setting may take: from the first to the second (``log``: uniform in the logarithm), or a choice.

    Choices are texts as ``--set`` takes them, so that lists are possible.
    """

    kind: Kind
    values: tuple[Any, ...]

    def __str__(self) -> str:
        """Return it as the file has it."""
        return f"{self.kind} [{', '.join(map(str, self.values))}]"

    @property
    def texts(self) -> tuple[str, ...]:
        """Both ends, or all choices, as ``--set`` takes them."""
        return self.values if self.kind == "choice" else tuple(map(as_yaml, self.values))


Space = dict[str, Domain]
"""Domains by key, ``training.KEY`` or ``config.KEY``, of one method."""


def read_space(file: Path, methods: Sequence[str]) -> dict[str, Space]:
    """Read the space of each method.

    Args:
        file: the YAML file.
        methods: names, as the user gave them.

    Raises:
        UserError: the file cannot be read, a key is unknown or no setting of training or a method, a range is none, or
            a method has nothing to search.
    """
    domains = dict(_domains(read_yaml(file, dict), file))
    pairs = [Override(key, domain.texts[0]) for key, domain in domains.items()]
    for key in domains:
        _check_searchable(key, file)
    check_targets(pairs, methods, where=str(file))
    spaces = {name: _space_of(name, domains, str(file)) for name in methods}
    empty = [name for name, space in spaces.items() if not space]
    if empty:
        raise UserError(
            f"{file} has no setting of {empty[0]}, so all its trials would be one run. Add training.lr, say, for all "
            f"methods, or a section {empty[0]}: for this one."
        )
    return spaces


def _domains(values: Mapping[str, Any], file: Path, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Domain]]:
    """Yield the domain of every dotted key.

    Raises:
        UserError: a value is no domain, or a key is given twice.
    """
    found: set[str] = set()
    for key, value in values.items():
        here = (*path, str(key))
        name = ".".join(here)
        if not isinstance(value, Mapping) or not value:
            raise UserError(f"{file}: {name} = {value!r}: expected {EXAMPLE}. A fixed value belongs in --set {name}=….")
        inner = [(name, _domain(value, f"{file}: {name}"))] if _is_domain(value) else _domains(value, file, here)
        for dotted, domain in inner:
            if dotted in found:
                raise UserError(f"{file}: {dotted} is given twice, nested and with a dot. Keep one.")
            found.add(dotted)
            yield dotted, domain


def _is_domain(value: Mapping[str, Any]) -> bool:
    """True for a mapping that is meant as a range: it has a kind, or holds no further mapping."""
    return any(kind in value for kind in _READERS) or not any(isinstance(inner, Mapping) for inner in value.values())


def _domain(value: Mapping[str, Any], where: str) -> Domain:
    kind = str(next(iter(value)))
    if len(value) > 1 or kind not in _READERS:
        near = "" if kind in _READERS else did_you_mean(kind, _READERS)
        raise UserError(f"{where} = {dict(value)!r}: expected one of {EXAMPLE}.{near}")
    listed = value[kind]
    if not isinstance(listed, list) or len(listed) < 2 or (kind != "choice" and len(listed) != 2):
        what = "a list of at least two values" if kind == "choice" else "[low, high]"
        raise UserError(f"{where}: {kind} = {listed!r}: expected {what}, e.g. {EXAMPLE}.")
    try:
        return _READERS[kind](listed)
    except ValueError as error:
        raise UserError(f"{where}: {kind} = {listed!r}: {error}.") from None


def _range(kind: Kind, listed: Sequence[Any], number: Callable[[Any], float]) -> Domain:
    low, high = map(number, listed)
    if kind == "log" and low <= 0:
        raise ValueError("a logarithmic range begins above 0. Use float, or raise the lower end")
    if low == high:
        raise ValueError("both ends are equal. Set a fixed value with --set")
    if low > high:
        raise ValueError(f"the lower end comes first. Write [{listed[1]}, {listed[0]}]")
    return Domain(kind, (low, high))


def _real(value: Any) -> float:
    """Return a number; YAML reads ``1e-4``, without a dot, as text."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is no number")
    return number


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{value!r} is no whole number")
    return value


def _choice(listed: Sequence[Any]) -> Domain:
    texts = tuple(map(as_yaml, listed))
    if len(set(texts)) < len(texts):
        raise ValueError("a value is listed twice. Remove one")
    return Domain("choice", texts)


_READERS: dict[str, Callable[[Sequence[Any]], Domain]] = {
    "float": lambda listed: _range("float", listed, _real),
    "log": lambda listed: _range("log", listed, _real),
    "int": lambda listed: _range("int", listed, _whole),
    "choice": _choice,
}


def _check_searchable(key: str, file: Path) -> None:
    head, _, rest = key.partition(".")
    if head in SECTIONS:
        raise UserError(
            f"{file}: {key}: a search varies training and methods alone. Trials on other data, shapes or validation "
            f"clips would not compare; set {key} for all of them with --set."
        )
    if key in ONE_FOR_ALL or (head == "training" and rest in ONE_FOR_ALL) or key.endswith(f".{ONE_FOR_ALL[0]}"):
        raise UserError(f"{file}: {key}: all trials of a command have one {ONE_FOR_ALL[0]}. Give it with --set.")


def _space_of(name: str, domains: Mapping[str, Domain], where: str) -> Space:
    """Return the domains of one method; what is stated for it replaces what is stated for all."""
    fields = METHODS.get(name.partition(":")[0]).Config.model_fields
    space: Space = {}
    targets = (name, name.partition(":")[0])
    own = [key for target in reversed(targets) for key in domains if key.startswith(f"{target}.")]
    for key in dict.fromkeys([*(key for key in domains if key not in own), *own]):
        found = for_method([Override(key, "0")], name, fields, where=where)
        for part, values in found._asdict().items():
            space |= {".".join((part, *path)): domains[key] for path, _ in leaves(values)}
    return space
