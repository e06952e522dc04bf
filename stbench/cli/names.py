"""Texts of the command line that name methods, seeds and executors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stbench.errors import UserError
from stbench.settings import parse_overrides
from stbench.sweep.executors import DEFAULT_EXECUTOR

if TYPE_CHECKING:
    from stbench.sweep.experiment import ExecutorChoice

MANY = "processes"
"""Executor that ``--jobs`` chooses."""


def method_names(text: str) -> tuple[str, ...]:
    """Split ``--methods`` at the commas outside brackets.

    Raises:
        UserError: it is empty.
    """
    from stbench.sweep.experiment import split_texts

    names: tuple[str, ...] = split_texts(text)
    if not names:
        raise UserError("--methods is empty. Name at least one, e.g. --methods tau,predrnn.")
    return names


def check_installed(methods: Iterable[str]) -> None:
    """Report an unknown method with a package of its name in this folder, which is probably not installed yet.

    Raises:
        UserError: that is so.
    """
    from stbench.nn import METHODS

    for plugin in dict.fromkeys(method.partition(":")[0] for method in methods):
        if plugin not in METHODS.names() and (Path(plugin) / "pyproject.toml").is_file():
            raise UserError(
                f"The method {plugin!r} is not installed; its package is the folder {plugin}. "
                f"Run: pip install -e {plugin}"
            )


def seed_numbers(text: str) -> tuple[int, ...]:
    """Parse ``--seeds``: whole numbers and ranges.

    Raises:
        UserError: it holds something else.
    """
    from stbench.sweep.experiment import split_numbers

    try:
        return split_numbers(text)
    except ValueError as error:
        raise UserError(f"--seeds {text!r}: {error}.") from None


def executor_choice(
    known: Mapping[str, Any] | str | None, name: str | None, sets: Sequence[str], jobs: int | None
) -> Mapping[str, Any] | str | ExecutorChoice | None:
    """Return the executor of an experiment file, or what the command line makes of it.

    Args:
        known: ``executor`` of the file.
        name: ``--executor`` if given.
        sets: ``--executor-set``.
        jobs: ``--jobs``.

    Raises:
        UserError: ``--jobs`` beside another executor, or stated twice.
    """
    from stbench.sweep.experiment import ExecutorChoice

    if name is None and not sets and jobs is None:
        return known
    choice = ExecutorChoice(kind=name) if name is not None else ExecutorChoice()
    if name is None and known is not None:
        choice = ExecutorChoice.parse(ExecutorChoice.spread(known), "executor")
    values: dict[str, Any] = {override.key: override.value for override in parse_overrides(sets)}
    if jobs is not None:
        if choice.kind not in (DEFAULT_EXECUTOR, MANY) or "jobs" in values:
            raise UserError(f"--jobs {jobs} means --executor {MANY} --executor-set jobs={jobs}. Give one or the other.")
        values["jobs"] = jobs
        choice = choice if choice.kind == MANY else ExecutorChoice(kind=MANY)
    return choice.model_copy(update={"settings": {**choice.settings, **values}})
