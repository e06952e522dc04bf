"""``stbench check``: the conformance suite for registered plugins, or for methods in a file."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stbench.errors import UserError, counted

if TYPE_CHECKING:
    from rich.console import Console

    from stbench.conformance import Verdict
    from stbench.nn import Method
    from stbench.schema import ClipShape

EXIT_FAILED = 1
SHAPE_PARTS = ("t_in", "t_out", "channels", "height", "width")
COLOURS = {"passed": "green", "failed": "red", "not applicable": "dim"}


class CheckedKind(StrEnum):
    """Kinds of plugins with a conformance suite."""

    METHODS = "methods"
    METRICS = "metrics"
    OPTIMIZERS = "optimizers"
    SCHEDULES = "schedules"
    LOGGERS = "loggers"
    EXECUTORS = "executors"
    SCENARIOS = "scenarios"


def check_command(
    targets: Annotated[
        list[str] | None, typer.Argument(help="Names (tau, tau:no_sa), or Python files that define methods.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Check all installed ones.")] = False,
    kind: Annotated[CheckedKind, typer.Option(help="Kind of plugin to check.")] = CheckedKind.METHODS,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Hyperparameter of the checked methods.")
    ] = None,
    shape: Annotated[
        str | None, typer.Option(metavar="T_IN,T_OUT,C,H,W", help="Shape to check, e.g. 10,10,1,64,64.")
    ] = None,
) -> None:
    """Check the contract of plugins; for methods: shapes, gradients, no leak of the future, seeds, DDP …

    Exit code 1 if a check fails.
    """
    from rich.console import Console

    from stbench.conformance import check_method, check_methods
    from stbench.settings import parse_overrides, put

    if kind is not CheckedKind.METHODS:
        _check_plugins(kind.value, targets or [], all_)
        return
    methods = _methods(targets or [], all_)
    settings: dict[str, Any] = {}
    for override in parse_overrides(set_):
        put(settings, override.key.split("."), override.value)
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, 120)
    options: dict[str, Any] = {} if shape is None else {"shapes": _shapes(shape)}
    names = [method for method in methods if isinstance(method, str)]
    verdicts = []
    with console.status(f"checking {counted(len(methods), 'method')}", spinner="dots"):
        classes = (
            check_method(method, settings=settings, **options) for method in methods if not isinstance(method, str)
        )
        for verdict in chain(check_methods(names, settings=settings, **options), classes):
            verdicts.append(verdict)
            _show(verdict, console, brief=len(methods) > 1)
    _sum_up(verdicts, "methods", console)


def _check_plugins(kind: str, targets: list[str], all_: bool) -> None:
    from rich.console import Console

    from stbench.conformance.plugins import KINDS, check_plugin

    if all_ == bool(targets):
        raise UserError(f"Give names, or --all. Example: stbench check --kind {kind} --all")
    console = Console()
    verdicts = [check_plugin(kind, name) for name in targets or KINDS[kind].registry.names()]
    for verdict in verdicts:
        _show(verdict, console, brief=len(verdicts) > 1)
    _sum_up(verdicts, kind, console)


def _sum_up(verdicts: list[Verdict], kind: str, console: Console) -> None:
    failed = [verdict.method for verdict in verdicts if not verdict.passed]
    if len(verdicts) > 1:
        console.print(f"{len(verdicts) - len(failed)} of {len(verdicts)} {kind} pass.")
    if failed:
        raise typer.Exit(EXIT_FAILED)


def _methods(targets: list[str], all_: bool) -> list[str | type[Method]]:
    from stbench.conformance.locate import methods_in_file
    from stbench.nn import METHODS

    if all_ == bool(targets):
        raise UserError("Give names, files, or --all. Example: stbench check tau my_method.py")
    if all_:
        return list(METHODS.names())
    methods: list[str | type[Method]] = []
    for target in targets:
        path = Path(target)
        methods += methods_in_file(path) if path.suffix == ".py" or path.is_dir() else [target]
    return methods


def _shapes(text: str) -> tuple[ClipShape, ...]:
    """Return the given shape, and the same with a longer and a shorter future."""
    from stbench.schema import ClipShape

    parts = text.split(",")
    if len(parts) != len(SHAPE_PARTS) or not all(part.strip().isdigit() for part in parts):
        raise UserError(f"--shape {text!r}: expected five whole numbers T_IN,T_OUT,C,H,W, e.g. 10,10,1,64,64.")
    shape = ClipShape.parse(dict(zip(SHAPE_PARTS, map(int, parts), strict=True)), "--shape")
    return shape, shape.model_copy(update={"t_out": 2 * shape.t_in - 1}), shape.model_copy(update={"t_out": 1})


def _show(verdict: Verdict, console: Console, *, brief: bool) -> None:
    from rich.table import Table

    from stbench.report.encode import terminal

    counts = Counter(str(outcome.status) for outcome in verdict.outcomes)
    parts = [f"[{COLOURS[status]}]{number} {status}[/]" for status, number in counts.items()]
    seconds = sum(outcome.seconds for outcome in verdict.outcomes)
    if brief:
        console.print(f"{terminal(verdict.method):16} {', '.join(parts)} in {seconds:.1f} s", highlight=False)
    else:
        table = Table("check", "outcome", "s", "note", title=terminal(verdict.method), box=None, header_style="bold")
        for outcome in verdict.outcomes:
            note = "" if outcome.expected else outcome.seen
            colour = COLOURS[outcome.status]
            table.add_row(outcome.check, f"[{colour}]{outcome.status}[/]", f"{outcome.seconds:.1f}", terminal(note))
        console.print(table)
    for outcome in verdict.failures:
        console.print(f"[red]{terminal(verdict.method)} {outcome.check}[/]")
        for label, text in (("expected", outcome.expected), ("seen", outcome.seen), ("likely cause", outcome.cause)):
            lines = "\n".join(map(terminal, text.splitlines()))
            console.print(f"  [bold]{label}:[/] {lines}", highlight=False)
