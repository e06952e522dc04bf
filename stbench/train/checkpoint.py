"""Checkpoints: the resume point of a run and its best weights, written atomically and read strictly."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from stbench.errors import MachineError, UserError, first_line, is_file_fault, is_out_of_memory
from stbench.nn import Method
from stbench.schema.folder import RunFolder, write_with
from stbench.train.average import WeightAverage
from stbench.train.checksum import PLACEHOLDER, add_comment, is_intact, seal

LAST = "last.pt"
_BEST = "best-{epoch:05d}.safetensors"
BEST_PATTERN = re.compile(r"best-(\d+)\.safetensors")
RESUME_KEYS = frozenset({"state", "method", "optimizer"})
CHECKSUM = "checksum"
"""Key by which a checkpoint says that it has one (:mod:`stbench.train.checksum`); earlier versions wrote none."""


class UnusableError(Exception):
    """A resume point that training cannot go on from: it starts anew. ``kind`` ends the name that it is kept under."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True)
class Origin:
    """What a resume point was made from: fingerprint of the data, hash of the method's source, batch, processes."""

    data: str = ""
    source: str = ""
    batch_size: int = 0
    world_size: int = 1

    @property
    def name(self) -> str:
        """Short hash of all of them."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:8]


@dataclass
class TrainState:
    """State of training between steps, besides weights and optimiser moments.

    Random draws are functions of (seed, step), so no generator state is stored. ``sums``: loss terms summed over the
    ``step_in_epoch`` steps of this epoch. ``fitting_epochs``: number of epochs that fit a budget of time, known after
    the first. ``convolutions``: algorithms that ``fast_conv`` chose by shape, on which the exact bits depend.
    ``rank_sums``: the ``sums`` of every data-parallel process; empty if there is only one.
    """

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    best_epoch: int | None = None
    best_score: float = float("inf")
    history: list[dict[str, Any]] = field(default_factory=list)
    epoch_seconds: float = 0.0
    train_seconds: float = 0.0
    fitting_epochs: int | None = None
    convolutions: dict[str, str] = field(default_factory=dict)
    rank_sums: list[dict[str, float]] = field(default_factory=list)

    def take_sums(self, rank: int, processes: int) -> None:
        """Set ``sums`` to the part of one process; another number of processes than saved shares the same means."""
        parts = self.rank_sums or [self.sums]
        if len(parts) == processes:
            self.sums = dict(parts[rank])
            return
        scale = processes / len(parts) if rank == 0 else 0.0
        self.sums = {name: scale * sum(part[name] for part in parts) for name in parts[0]}


_STATE = TypeAdapter(TrainState)


def save_last(
    folder: RunFolder,
    state: TrainState,
    method: Method,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage | None = None,
    origin: Origin | None = None,
) -> None:
    """Replace the resume point, then delete best weights to which no state refers."""
    content = {
        CHECKSUM: True,
        "origin": asdict(origin or Origin()),
        "state": asdict(state),
        "method": method.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    if average is not None:
        content["average"] = average.state()

    def write(path: Path) -> None:
        torch.save(content, path)
        add_comment(path)
        seal(path)

    _write(folder.checkpoints / LAST, write)
    drop_other_weights(folder, state)


def drop_other_weights(folder: RunFolder, state: TrainState) -> None:
    """Remove weights that the resume point does not refer to: replaced ones, and those of an epoch to be repeated."""
    for path in folder.checkpoints.glob("best-*.safetensors"):
        if path != best_path(folder, state.best_epoch):
            path.unlink()


def _write(path: Path, write: Callable[[Path], object]) -> None:
    """Write atomically; what torch and safetensors say of a full disk is no OSError.

    Raises:
        MachineError: the file cannot be written.
    """
    try:
        write_with(path, write)
    except (SafetensorError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        raise MachineError(f"Cannot write {path}: {first_line(error)}") from error


def load_last(
    folder: RunFolder,
    method: Method,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage | None = None,
    origin: Origin | None = None,
) -> TrainState | None:
    """Restore weights, moments and average in place and return the state; None without a resume point.

    Args:
        origin: what the run is made from now.

    Raises:
        UnusableError: the resume point or its best weights are damaged, or the data or the code changed since. Training
            from the start gives the right numbers.
        UserError: the file is intact but of another model, another batch size or another number of processes.
        MachineError: a file cannot be read now.
    """
    path = folder.checkpoints / LAST
    if not path.is_file():
        return None
    found = _read_whole(path)
    if found is None:
        raise UnusableError("damaged", "the resume point is damaged")
    state, content = found
    if state.best_epoch is not None and not _is_whole(best_path(folder, state.best_epoch)):
        raise UnusableError("damaged", "the best weights beside the resume point are gone or damaged")
    if origin is not None and "origin" in content:
        _check_origin(path, Origin(**content["origin"]), origin)
    try:
        method.load_state_dict(content["method"])
        optimizer.load_state_dict(content["optimizer"])
        if average is not None:
            average.load(content["average"])
    except (RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} cannot be resumed from ({reason}). Delete it to train this run anew.") from error
    return state


def _check_origin(path: Path, before: Origin, now: Origin) -> None:
    changed = [
        what
        for what, old, new in (("the data", before.data, now.data), ("the method's code", before.source, now.source))
        if old and new and old != new
    ]
    if changed:
        raise UnusableError("outdated", f"{' and '.join(changed)} changed since the run was stopped")
    if before.batch_size and before.batch_size != now.batch_size:
        raise UserError(
            f"{path} was made with batches of {before.batch_size} clips, this run has {now.batch_size}. "
            f"Use --batch-size {before.batch_size}, or delete the file to train this run anew."
        )
    if before.world_size != now.world_size:
        raise UserError(
            f"{path} was made by {before.world_size} {'process' if before.world_size == 1 else 'processes'}, this run "
            f"has {now.world_size}. Use --devices {before.world_size}, or delete the file to train this run anew."
        )


def _read_whole(path: Path) -> tuple[TrainState, dict[str, Any]] | None:
    """Return the state in a checkpoint and its whole content; None if it is damaged."""
    try:
        intact = is_intact(path)
        if intact is False:
            return None
        with zipfile.ZipFile(path) as archive:  # for files without a checksum; torch does not check the sums in them
            if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()) or archive.testzip():
                return None
        content = torch.load(path, map_location="cpu", weights_only=True)
        if not set(content) >= RESUME_KEYS or (CHECKSUM in content and not intact):
            return None
        return _STATE.validate_python(content["state"]), content
    except MemoryError:
        raise
    except Exception as error:  # a damaged pickle fails in any way
        _check_machine(path, error)
        return None


def _is_whole(weights: Path) -> bool:
    """Return whether a safetensors file exists, has the length stated in its header, and matches its checksum."""
    try:
        intact = is_intact(weights)
        with safe_open(weights, framework="pt") as file:
            return bool(intact or (intact is None and CHECKSUM not in (file.metadata() or {})))
    except (SafetensorError, OSError) as error:
        _check_machine(weights, error)
        return False


def _check_machine(path: Path, error: Exception) -> None:
    """Tell a file that cannot be read now from a damaged one.

    Raises:
        MachineError: the machine failed.
    """
    if isinstance(error, OSError) and is_file_fault(error):
        raise MachineError(f"Cannot read {path}: {error.strerror or error}") from error


def best_path(folder: RunFolder, epoch: int | None) -> Path:
    """Return the file of the best weights after ``epoch`` (from 0), or of an untrained method (None)."""
    return folder.checkpoints / _BEST.format(epoch=0 if epoch is None else epoch + 1)


def find_best(folder: RunFolder) -> Path:
    """Return the file of the best weights in a run folder.

    Raises:
        UserError: there are none.
    """
    found = [path for path in folder.checkpoints.glob("best-*") if BEST_PATTERN.fullmatch(path.name)]
    if not found:
        raise UserError(f"{folder.checkpoints} holds no best-*.safetensors; was the run finished?")
    return max(found)


def save_weights(path: Path, method: Method) -> None:
    """Write a method's state dict as safetensors with a checksum."""
    tensors: dict[str, Tensor] = {k: v.detach().contiguous().cpu() for k, v in method.state_dict().items()}

    def write(temporary: Path) -> None:
        save_file(tensors, temporary, metadata={CHECKSUM: PLACEHOLDER})
        seal(temporary)

    _write(path, write)


def load_weights(path: Path, method: Method) -> None:
    """Load a method's state dict from safetensors.

    Raises:
        UserError: the file is damaged.
        MachineError: it cannot be read now.
        RuntimeError: the weights are of another model.
    """
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        _check_machine(path, error)
        raise UserError(f"{path} is damaged ({error}). Copy it anew, or do its run again with --redo.") from error
    if not _is_whole(path):
        raise UserError(
            f"{path} is damaged (its content does not have its checksum). "
            "Copy it anew, or do its run again with --redo."
        )
    method.load_state_dict(tensors)
