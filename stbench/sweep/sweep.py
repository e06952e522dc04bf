"""Execution of a plan: finished runs are reused, and a failed run does not stop the others."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from stbench.data import Splits
from stbench.errors import UserError, cannot, first_line
from stbench.nn import METHODS
from stbench.schema import RunResult, RunSpec
from stbench.schema.folder import RunFolder
from stbench.sweep.environment import source_hash
from stbench.sweep.execute import Workplace, execute, splits_of
from stbench.sweep.executors import DEFAULT_EXECUTOR, Ended, Executor, get_executor
from stbench.train.engine import Engine
from stbench.train.interrupt import StopRequest
from stbench.train.loop import PrunedError


def check_writable(root: Path) -> None:
    """Create the output folder.

    Raises:
        UserError, MachineError: it cannot be made or written to.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=root).close()
    except OSError as error:
        raise cannot(f"Cannot write to the output folder {root}", error, "Choose another one with --out.") from error


def check_out(root: Path) -> None:
    """Check the path of the output folder; creates nothing.

    Raises:
        UserError: it, or a folder above it, is a file.
    """
    there = next(path for path in (root.absolute(), *root.absolute().parents) if path.exists())
    if not there.is_dir():
        raise UserError(f"Cannot write to the output folder {root}: {there} is a file. Choose another one with --out.")


def note_on(spec: RunSpec, result: RunResult, fingerprint: str | None) -> str:
    """Return the warning shown beside a reused result; empty if none.

    Args:
        spec: the run that was found done.
        result: its recorded result.
        fingerprint: of the current data; None if they cannot be read.
    """
    notes = []
    if result.method_source and result.method_source != source_hash(METHODS.get(spec.plugin)):
        notes.append("its code has changed since")
    if result.data_fingerprint and fingerprint is not None and result.data_fingerprint != fingerprint:
        notes.append("the data have changed since")
    return f"{' and '.join(notes)}; --redo repeats the run" if notes else ""


def set_aside(specs: Sequence[RunSpec], root: Path) -> None:
    """Rename the folders of complete runs, so that a sweep repeats them and the old ones are kept.

    One that another process works in (it repeats a failed run, say) stays where it is.
    """
    for folder in (RunFolder(root / spec.folder) for spec in specs):
        if folder.is_complete:
            with folder.locked() as mine:
                if mine:
                    folder.hide()


def is_done(spec: RunSpec, workplace: Workplace) -> bool:
    """Return whether a run is done; a damaged result is renamed, and the run is then repeated."""
    folder = workplace.folder(spec)
    if not folder.is_complete:
        return False
    try:
        result = folder.result()
    except UserError:
        folder.put_aside("result.json")
        return False
    return not (workplace.retry_failed and result.status == "failed")


@contextmanager
def held(folder: RunFolder, engine: Engine) -> Iterator[bool]:
    """Lock a run for this process or group of processes; yield False if another has it.

    Raises:
        UserError, MachineError: the folder cannot be made or locked.
    """
    if not engine.is_main:
        yield engine.any(False)
        return
    with ExitStack() as stack:
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
            mine = stack.enter_context(folder.locked())
        except OSError as error:
            advice = "Choose another place with --out, on a file system that has locks."
            raise cannot(f"Cannot use the run folder {folder.path}", error, advice) from error
        yield engine.any(mine)


class Datasets:
    """Datasets of a plan's runs, each opened once."""

    def __init__(self, data_dirs: tuple[Path, ...], opened: Callable[[str], None]) -> None:
        self._data_dirs = data_dirs
        self._opened = opened
        self._known: dict[str, Splits] = {}

    def get(self, spec: RunSpec) -> Splits:
        """Return the dataset of a run.

        Raises:
            UserError: data are missing or damaged.
        """
        key = _data_key(spec)
        if key not in self._known:
            self._known[key] = splits_of(spec, self._data_dirs)
            self._opened(self._known[key].report)
        return self._known[key]

    def fingerprint(self, spec: RunSpec) -> str | None:
        """Return the hash of a run's current data; None if they cannot be read, which a finished run does not need."""
        try:
            return self.get(spec).fingerprint
        except (UserError, OSError):
            return None


def _data_key(spec: RunSpec) -> str:
    """Return a key that is equal for runs that read the same splits of the same files."""
    return f"{spec.dataset.model_dump_json()} {spec.selection}"


def without_data(spec: RunSpec, plan: Sequence[RunSpec], error: UserError) -> Ended:
    """Return the end of a run whose data are missing or damaged, in a plan with runs on other data.

    Raises:
        UserError: ``error``, if the whole plan needs these data.
    """
    if len({_data_key(other) for other in plan}) == 1:
        raise error
    return Ended(spec, "unfinished", note=first_line(error))


def sweep(specs: Sequence[RunSpec], workplace: Workplace, executor: Executor | None = None) -> tuple[Ended, ...]:
    """Do all runs of a plan that are not done, report each to the workplace's listener, and return how each ended.

    Args:
        specs: the plan.
        workplace: folders and devices.
        executor: runs them; this process by default.

    Raises:
        UserError: missing or damaged data, an unwritable folder, or an unknown executor.
        MachineError: a fault of the machine after which no run can go on.
        KeyboardInterrupt: asked to stop; everything finished is kept, the current run can be resumed.
    """
    check_writable(workplace.root)
    done = []
    try:
        for ended in (executor or get_executor(DEFAULT_EXECUTOR)).submit(specs, workplace):
            done.append(ended)
            workplace.listener.run_done(ended.spec, ended.outcome, ended.result, ended.note)
    finally:
        workplace.listener.close()
    return tuple(done)


def do_run(
    spec: RunSpec, workplace: Workplace, datasets: Datasets, stop: StopRequest, *, number: int = 1, runs: int = 1
) -> Ended:
    """Do one run in this process, unless it is done or another process has it.

    A mistake or a fault of the machine that concerns this run alone leaves it unfinished.

    Args:
        number: number of this run among ``runs``, for the listener.

    Raises:
        UserError: missing or damaged data.
        MachineError: a data-parallel process is lost.
        KeyboardInterrupt: a stop was asked for; the run can be resumed.
    """
    try:
        engine = workplace.engine  # whose other nodes may see an older state of the folder
        done = engine.any(engine.is_main and is_done(spec, workplace))
    except OSError as error:
        return _unfinished(spec, workplace, error)
    if done:
        return _found_done(spec, workplace, datasets)
    dataset = datasets.get(spec)
    try:
        with held(workplace.folder(spec), workplace.engine) as mine:
            if not mine:
                return Ended(spec, "busy")
            if _done_meanwhile(spec, workplace):
                return _found_done(spec, workplace, datasets)
            watcher = workplace.listener.run_listener(spec, number, runs)
            result = execute(spec, dataset, workplace, watcher, stop)
    except PrunedError as error:
        return Ended(spec, "pruned", note=str(error))
    except (UserError, OSError) as error:
        return _unfinished(spec, workplace, error)
    return Ended(spec, "trained") if result is None else Ended(spec, result.status, result)


def _unfinished(spec: RunSpec, workplace: Workplace, error: UserError | OSError) -> Ended:
    if workplace.engine.world_size > 1:  # the others may wait in the middle of this run, for good
        raise error
    return Ended(spec, "unfinished", note=first_line(error))


def _found_done(spec: RunSpec, workplace: Workplace, datasets: Datasets) -> Ended:
    if not workplace.engine.is_main:
        return Ended(spec, "already done")
    result = workplace.folder(spec).result()
    return Ended(spec, "already done", result, note_on(spec, result, datasets.fingerprint(spec)))


def _done_meanwhile(spec: RunSpec, workplace: Workplace) -> bool:
    """Return whether another process finished a run between the first check and the lock; equal on all processes."""
    engine = workplace.engine
    return engine.any(engine.is_main and is_done(spec, workplace))
