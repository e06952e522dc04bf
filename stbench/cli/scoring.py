"""Scoring of public and released weights from the command line: what was understood, the row, the comparison."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from stbench.cli.getting import bring
from stbench.errors import UserError

if TYPE_CHECKING:
    from stbench.data.benchmarks.released import Figures
    from stbench.schema import RunResult
    from stbench.schema.folder import RunFolder
    from stbench.sweep.released import Compared
    from stbench.sweep.weights import CheckpointRun


class Place(NamedTuple):
    """Device, data folder and output folder of a command."""

    device: str
    data_dir: Path | None
    out: Path


def score_public(
    checkpoint: Path, method: str, dataset: str, protocol: str, overrides: list[str], place: Place
) -> None:
    """Score a checkpoint file and print its row."""
    from stbench.settings import parse_overrides
    from stbench.sweep.weights import plan_checkpoint

    scored = plan_checkpoint(checkpoint, method, dataset, protocol, parse_overrides(overrides))
    _score(scored, checkpoint.name, place)


def score_released(
    name: str,
    asked: Mapping[str, str | None],
    protocol: str | None,
    overrides: list[str],
    place: Place,
    *,
    yes: bool,
    allow_http: bool,
) -> None:
    """Fetch released weights if they are not here, score them, and print the scores beside those stated for them.

    ``asked``: ``--dataset`` and ``--method`` as given, which must be those of the weights.
    """
    from stbench.data.benchmarks.folders import data_dirs
    from stbench.data.benchmarks.released import find_released
    from stbench.settings import parse_overrides
    from stbench.sweep.released import check_scorable, compare, plan_released, write_record

    item, pairs = find_released(name), parse_overrides(overrides)
    for flag, own in {"--dataset": item.benchmark, "--method": item.checkpoint.method}.items():
        if asked[flag] not in (None, own):
            raise UserError(
                f"{flag} {asked[flag]}: {name} are weights of {own}. Leave {flag} out, or name other weights."
            )
    check_scorable(item, protocol)
    dirs = data_dirs(place.data_dir)
    folder = item.folder(dirs)
    bring(item.downloads, folder, None, yes=yes, allow_http=allow_http)
    scored = plan_released(item, folder / item.checkpoint.file, protocol, pairs)
    run, result = _score(scored, item.checkpoint.file, place)
    figures = item.figures(dirs)
    write_record(run, item, figures)
    if figures is None:
        print(f"Nothing is stated for {name} to compare with: it has neither a training log here nor a printed row.")
    else:
        _print_comparison(compare(result, figures), figures)


def _print_comparison(lines: Iterable[Compared], figures: Figures) -> None:
    from rich.console import Console
    from rich.table import Table

    from stbench.report.encode import terminal

    title = terminal(f"scores beside the {figures.source}")
    table = Table("metric", "scored here", "stated", "difference", title=title, box=None, header_style="bold")
    for line in lines:
        relative = f" ({line.difference / line.stated:+.2%})" if line.stated else ""
        numbers = (f"{line.scored:.6g}", f"{line.stated:.6g}", f"{line.difference:+.4g}{relative}")
        table.add_row(terminal(line.metric), *numbers)
    console = Console()
    console.print(table)
    if figures.caveat:
        console.print(terminal(f"Of this row: {figures.caveat}"), highlight=False, soft_wrap=True)


def _score(scored: CheckpointRun, name: str, place: Place) -> tuple[RunFolder, RunResult]:
    """Score weights, print their row, and return the run's folder and result; ``name`` is the file's."""
    from stbench.cli.display import SweepDisplay
    from stbench.data.benchmarks.folders import data_dirs
    from stbench.report.analysis.table import make_tables
    from stbench.report.collect.records import records_of
    from stbench.report.writers.terminal import to_rich
    from stbench.sweep.execute import Workplace, splits_of
    from stbench.sweep.sweep import check_writable
    from stbench.sweep.weights import score_checkpoint
    from stbench.train.engine import Engine

    display = SweepDisplay()
    shown = ", ".join(f"{key}={value}" for key, value in scored.inferred.items()) or "nothing"
    display.note(f"{name}: {len(scored.state)} tensors; their shapes show {shown}")
    if scored.assumed:
        taken = ", ".join(f"{key}={value} ({origin})" for key, (value, origin) in scored.assumed.items())
        display.note(f"No shape shows {taken}; where the weights mean another, --set {scored.spec.plugin}.KEY=VALUE")
    workplace = Workplace(place.out / "runs", data_dirs(place.data_dir), Engine(place.device))  # type: ignore[arg-type]
    check_writable(workplace.root)
    data = splits_of(scored.spec, workplace.data_dirs)
    display.data_opened(data.report)
    result = score_checkpoint(scored, data, workplace)
    for table in make_tables(records_of([scored.spec], workplace.root)):
        display.console.print(to_rich(table))
    folder = workplace.folder(scored.spec)
    display.note(f"Written: {folder.path}")
    return folder, result
