"""``stbench runs``: list, show, compare and remove run folders."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stbench.cli.plain import agree, print_table
from stbench.errors import UserError, counted, unknown_name

if TYPE_CHECKING:
    from stbench.sweep.inventory import Entry, Filter

app = typer.Typer(no_args_is_help=True, help="List, show, compare and remove run folders.")

Out = Annotated[Path, typer.Option(help="Output folder of 'stbench run', or its folder runs/.")]
Methods = Annotated[list[str] | None, typer.Option("--method", "-m", help="Only runs of this method; may be repeated.")]
Datasets = Annotated[list[str] | None, typer.Option("--dataset", "-d", help="Only runs on this dataset.")]
Protocols = Annotated[list[str] | None, typer.Option("--protocol", help="Only runs under this protocol.")]
States = Annotated[
    list[str] | None, typer.Option("--state", help="finished | failed | unfinished | 'in use' | unreadable.")
]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="Only runs with this tag.")]
Names = Annotated[list[str] | None, typer.Option("--name", help="Only runs of the experiment of this name.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
NOT_ASKED = "Nothing was removed, because nobody can be asked here. Repeat the command with --yes."

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Remove without asking.")]


@app.command("list")
def list_command(
    method: Methods = None,
    dataset: Datasets = None,
    protocol: Protocols = None,
    state: States = None,
    tag: Tags = None,
    name: Names = None,
    out: Out = Path("results"),
    json_: Json = False,
) -> None:
    """List the runs of an output folder with state and size."""
    from stbench.sweep.inventory import inventory

    entries = inventory(out, _filter(method, dataset, protocol, state, tag, name))
    if json_:
        print(json.dumps([entry.as_dict() for entry in entries], indent=2))
    else:
        _print_list(entries, out)


@app.command("show")
def show_command(
    run: Annotated[str, typer.Argument(help="Run folder, its name or run id, or the beginning of one.")],
    out: Out = Path("results"),
    json_: Json = False,
) -> None:
    """Show one run: state, labels, files, settings with their origins, scores."""
    import yaml
    from rich.filesize import decimal

    from stbench.report.encode import terminal
    from stbench.sweep.inventory import find_run, size_of

    entry = find_run(run, out)
    spec = None if entry.spec is None else entry.spec.model_dump(mode="json")
    if json_:
        print(json.dumps({**entry.as_dict(), "spec": spec}, indent=2))
        return
    files = {path.name: size_of(path) for path in sorted(entry.path.iterdir())}
    lines = [f"{entry.path}: {entry.state}{f' ({entry.reason})' if entry.reason else ''}"]
    lines += [f"{kind}: {', '.join(labels)}" for kind, labels in entry.labels.items() if labels]
    lines += [f"{name} {score:.6g}" for name, score in entry.as_dict()["scores"].items()]
    lines += [f"{name}  {decimal(size)}" for name, size in files.items()]
    print("\n".join(map(terminal, lines)))
    if spec is not None:
        print("\n".join(map(terminal, yaml.safe_dump(spec, sort_keys=False).splitlines())))


@app.command("diff")
def diff_command(
    first: Annotated[str, typer.Argument(help="Run folder, its name or run id, or the beginning of one.")],
    second: Annotated[str, typer.Argument(help="The other run.")],
    out: Out = Path("results"),
    json_: Json = False,
) -> None:
    """Show the settings and scores in which two runs differ."""
    from stbench.sweep.inventory import differences, find_run

    entries = [find_run(text, out) for text in (first, second)]
    specs = [entry.spec for entry in entries if entry.spec is not None]
    if len(specs) < len(entries):
        raise UserError(next(entry.reason for entry in entries if entry.spec is None))
    found = differences(specs[0], specs[1])
    scores = [entry.as_dict()["scores"] for entry in entries]
    found |= {
        f"test.{name}": (scores[0].get(name), scores[1].get(name))
        for name in dict.fromkeys([*scores[0], *scores[1]])
        if scores[0].get(name) != scores[1].get(name)
    }
    if json_:
        print(json.dumps({key: list(pair) for key, pair in found.items()}, indent=2))
    elif not found:
        print("The two runs have the same settings and scores.")
    else:
        heads = ["key", *(entry.path.name for entry in entries)]
        _print_table(heads, [[key, str(a), str(b)] for key, (a, b) in found.items()])


@app.command("rm")
def rm_command(
    runs: Annotated[list[str] | None, typer.Argument(help="Runs; or choose them by options.")] = None,
    method: Methods = None,
    dataset: Datasets = None,
    protocol: Protocols = None,
    state: States = None,
    tag: Tags = None,
    name: Names = None,
    out: Out = Path("results"),
    yes: Yes = False,
) -> None:
    """Remove runs for good, after showing them; runs in use stay."""
    from stbench.sweep.clean import remove_run
    from stbench.sweep.inventory import Filter, find_run, inventory

    wanted = _filter(method, dataset, protocol, state, tag, name)
    if bool(runs) == (wanted != Filter()):
        raise UserError(
            "Name the runs to remove, or choose them by --method, --dataset, --state, --tag: one of the two."
        )
    entries = [find_run(text, out) for text in runs] if runs else inventory(out, wanted)
    entries = list({entry.path.resolve(): entry for entry in entries}.values())
    if not entries:
        print("No run matches.")
        return
    _print_list(entries, out)
    if not yes:
        agree(f"Remove {counted(len(entries), 'run')} for good?", NOT_ASKED)
    for entry in entries:
        removed = remove_run(entry.path)
        print(f"removed {entry.path}" if removed else f"in use, stays: {entry.path}")


@app.command("clean")
def clean_command(
    what: Annotated[
        str, typer.Option(help="Comma-separated: resume (resume points of finished runs), old (hidden folders), cache.")
    ] = "resume,old,cache",
    out: Out = Path("results"),
    yes: Yes = False,
) -> None:
    """Remove resume points of finished runs, hidden old folders and unused frame caches, after showing them."""
    from rich.filesize import decimal

    from stbench.sweep.clean import KINDS, find_waste, remove_waste

    asked = [part.strip() for part in what.split(",") if part.strip()]
    for part in asked:
        if part not in KINDS:
            raise unknown_name("kind of waste", part, KINDS)
    waste = find_waste(out, [kind for kind in KINDS if kind in asked])
    if not waste:
        print("Nothing to remove.")
        return
    _print_table(["what", "size", "path"], [[KINDS[one.kind], decimal(one.size), str(one.path)] for one in waste])
    if not yes:
        agree(f"Remove {decimal(sum(one.size for one in waste))} for good?", NOT_ASKED)
    removed = remove_waste(waste)
    print(f"Removed {decimal(sum(one.size for one in removed))} in {counted(len(removed), 'place')}.")
    for one in waste:
        if one not in removed:
            print(f"in use, stays: {one.path}")


def _filter(
    method: list[str] | None,
    dataset: list[str] | None,
    protocol: list[str] | None,
    state: list[str] | None,
    tag: list[str] | None,
    name: list[str] | None,
) -> Filter:
    from stbench.sweep.inventory import Filter

    return Filter(method or (), dataset or (), protocol or (), state or (), tag or (), name or ())


def _print_list(entries: Sequence[Entry], out: Path) -> None:
    from rich.filesize import decimal

    rows = []
    for entry in entries:
        facts = entry.as_dict()
        score = next((f"{name} {value:.4g}" for name, value in facts["scores"].items()), entry.reason or "–")
        labels = ", ".join([*facts["names"], *facts["tags"]]) or "–"
        rows.append([entry.path.name, entry.state, decimal(entry.size), score, labels])
    _print_table(["run", "state", "size", "first score", "name, tags"], rows)
    print(f"{counted(len(entries), 'run')} in {out}, {decimal(sum(entry.size for entry in entries))}")


def _print_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich.console import Console

    from stbench.report.writers.terminal import plain_width

    print_table(plain_width(Console()), heads, rows)
