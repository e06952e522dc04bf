"""Download of a benchmark's files from the command line: size, confirmation, progress, summary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stbench.cli.opened import bars
from stbench.cli.plain import agree

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from stbench.data.benchmarks.download_list import Download
    from stbench.fetch.transfer import OnBytes
    from stbench.schema import Benchmark

LARGE = 5 * 10**9  # bytes above which a download asks first

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Download more than 5 GB without asking.")]
AllowHttp = Annotated[bool, typer.Option("--allow-http", help="Accept plain http for files without a published hash.")]


def get(
    benchmark: Benchmark,
    data_dir: Path,
    origin: str | None,
    source: str | None,
    changes: dict[str, object],
    *,
    yes: bool,
    allow_http: bool,
) -> bool:
    """Fetch the files of a benchmark to its folder in ``data_dir``; return False if none has a direct link.

    ``changes`` are dataset options set by the user.
    """
    from stbench.data.benchmarks.download_list import by_hand, downloads_of, of_source, owner_of_downloads, stages
    from stbench.data.benchmarks.downloads import is_folder

    target = data_dir / owner_of_downloads(benchmark.name)
    chosen = of_source(downloads_of(benchmark.name), source)
    if is_folder(origin):
        chosen = _as_they_lie(chosen, by_hand(benchmark, changes))
    elif origin is None:
        chosen = tuple(item for item in chosen if item.urls)
    for stage in stages(chosen, target):
        bring(stage, target, origin, yes=yes, allow_http=allow_http)
    return bool(chosen)


def bring(items: Sequence[Download], target: Path, origin: str | None, *, yes: bool, allow_http: bool) -> None:
    """Fetch files to ``target`` after showing their size; print what was done with each."""
    from stbench.data.benchmarks.downloads import fetch, is_folder

    if not is_folder(origin) and items:
        _agree(items, target, origin, yes=yes)
    with bars() as shown:
        for line in fetch(items, target, origin, _meter(shown), allow_http=allow_http):
            print(line)


def _as_they_lie(downloads: Sequence[Download], read: Sequence[Download]) -> tuple[Download, ...]:
    """Return what a user's folder may contain: files as downloaded, or the unpacked files that the reader reads."""
    if not any(item.unpack for item in downloads):
        return tuple(downloads) or tuple(read)
    names = {item.file for item in downloads}
    either = [item.model_copy(update={"optional": True}) for item in downloads]
    return (*either, *(item for item in read if item.file not in names))


def _agree(stage: Sequence[Download], target: Path, origin: str | None, *, yes: bool) -> None:
    """Print the size of a download; ask for confirmation above 5 GB.

    Raises:
        UserError: the disk is too full, or a large download cannot be confirmed without a terminal.
    """
    from stbench.data.benchmarks.downloads import amount, check_space

    needed = amount(stage, target, origin)
    if not needed.files:
        return
    print(f"To download into {target}: {needed}.")
    check_space(needed, target)
    if needed.size <= LARGE or yes:
        return
    agree("Go on?", f"{needed} is more than 5 GB. Repeat the command with --yes to download it.")


def _meter(shown: Progress) -> OnBytes:
    tasks: dict[str, TaskID] = {}

    def progress(name: str, done: int, total: int | None) -> None:
        if name not in tasks:
            tasks[name] = shown.add_task(name, total=total)
        shown.update(tasks[name], completed=done, total=total)

    return progress
