"""Meaning of the keys of ``--set``, the same in all commands. Imports no torch, so that mistakes are reported at once.

``lr`` and ``training.lr`` set the training of every method. ``METHOD.lr`` and ``METHOD.hid_t`` set one method's
training and hyperparameters; ``METHOD.training.KEY`` and ``METHOD.config.KEY`` state which of the two. All methods
share ``dataset.KEY``, ``evaluation.KEY`` and ``shape.KEY``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from stbench.errors import UserError, did_you_mean, unknown_name
from stbench.schema import ClipShape, Evaluation, Training
from stbench.settings import Override, below, put

TRAINING_KEYS = tuple(Training.model_fields)
SECTIONS = ("evaluation", "dataset", "shape")
Overrides = Sequence[tuple[str, str]]


class MethodOverrides(NamedTuple):
    """``--set`` values for one method."""

    config: dict[str, Any]
    training: dict[str, Any]


class DataOverrides(NamedTuple):
    """``--set`` values for data: options of the reader, and sizes of a clip."""

    options: dict[str, Any]
    shape: dict[str, Any]


def check_targets(
    overrides: Overrides, methods: Collection[str], *, free_shape: bool = False, where: str = "--set"
) -> None:
    """Check that keys have an effect.

    Args:
        overrides: the ``--set`` pairs.
        methods: names of the run's methods, as given by the user.
        free_shape: whether ``shape.KEY`` may change the protocol's shape.
        where: where the pairs are from, for messages.

    Raises:
        UserError: a section or training key is unknown, or a method is not in the run; suggests a near miss.
    """
    targets = {*methods, *(name.partition(":")[0] for name in methods)}
    for key, text in overrides:
        if not any(key.startswith(f"{target}.") for target in targets):
            _check_shared(key, text, targets, free_shape, where)


def _check_shared(key: str, text: str, targets: set[str], free_shape: bool, where: str) -> None:
    head, dot, rest = key.partition(".")
    if head == "training" and dot:
        head, dot, rest = rest.partition(".")
        if head not in TRAINING_KEYS:
            raise unknown_name(f"key of training in {where}", head, TRAINING_KEYS)
    elif key in Evaluation.model_fields and key not in TRAINING_KEYS:
        raise UserError(f"{where} {key}={text}: {key!r} is a key of evaluation. Use {where} evaluation.{key}={text}.")
    elif head == "shape" and dot and not free_shape:
        raise UserError(
            f"{where} {key}={text}: a run keeps the shape of its protocol, so that numbers compare. 'stbench data' and "
            "'stbench profile' can change it; for other lengths on your own data use --t-in and --t-out."
        )
    elif dot and head not in (*TRAINING_KEYS, *SECTIONS):
        raise unknown_name(f"method in {where}", key.rpartition(".")[0], targets)
    elif not dot and head not in TRAINING_KEYS:
        known = [*TRAINING_KEYS, "METHOD.KEY", *(f"{section}.KEY" for section in SECTIONS)]
        raise unknown_name(f"key in {where}", head, known)


def for_method(
    overrides: Overrides, name: str, hyperparameters: Collection[str], *, where: str = "--set"
) -> MethodOverrides:
    """Return the ``--set`` values for one method; later ones override earlier ones.

    Args:
        overrides: the ``--set`` pairs.
        name: the method as given by the user; ``tau:no_sa`` accepts ``tau:no_sa.KEY`` and ``tau.KEY``.
        hyperparameters: the fields of the method's Config.
        where: where the pairs are from, for messages.

    Raises:
        UserError: a value cannot be parsed, or the method has no such key.
    """
    found, plugin = MethodOverrides({}, {}), name.partition(":")[0]
    for key, text in overrides:
        target = next((target for target in (name, plugin) if key.startswith(f"{target}.")), None)
        path = key.removeprefix(f"{target}.").split(".")
        part = path[0] if path[0] in MethodOverrides._fields and len(path) > 1 else None
        path = path[1:] if part is not None else path
        if part is None and path[0] in TRAINING_KEYS:
            part = "training"
        if target is None and part != "training":
            continue
        if target is not None and part is None and path[0] not in hyperparameters:
            known = [*hyperparameters, *TRAINING_KEYS]
            near = did_you_mean(path[0], known)
            raise UserError(f"{where} {key}={text}: unknown key {path[0]!r}.{near} Known keys: {', '.join(known)}.")
        put(found.training if part == "training" else found.config, path, Override(key, text).value)
    return found


def for_data(overrides: Overrides) -> DataOverrides:
    """Return the ``--set`` values for commands on data.

    Raises:
        UserError: a key is of neither ``dataset`` nor ``shape``, or a value cannot be parsed.
    """
    for key, text in overrides:
        head, dot, rest = key.partition(".")
        if not dot or head not in ("dataset", "shape"):
            raise UserError(
                f"--set {key}={text}: data are described by dataset.KEY and shape.KEY alone. For an option of the "
                f"dataset write --set dataset.{key}={text}."
            )
        if head == "shape" and rest not in ClipShape.model_fields:
            raise unknown_name("key of shape in --set", rest, ClipShape.model_fields)
    return DataOverrides(below(overrides, "dataset"), below(overrides, "shape"))
