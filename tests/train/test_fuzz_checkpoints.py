"""Damaged checkpoints: training starts anew, or one message says what to do; never anything else."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from stbench.errors import UserError
from stbench.nn import MethodConfig
from stbench.train.checkpoint import LAST, UnusableError, best_path, find_best, load_last, load_weights
from stbench.train.engine import Engine
from stbench.train.public_weights import read_public_weights
from tests.support.mutate import damaged
from tests.train.tiny import SHAPE, Blend, make_trainer, tiny_training

INPUTS = 2000
Read = Callable[[Path], object]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder after one epoch."""
    path = tmp_path_factory.mktemp("run")
    make_trainer(path, Engine("cpu"), tiny_training(epochs=1)).run()
    torch.save({"state_dict": Blend(SHAPE, MethodConfig()).state_dict(), "epoch": 1}, path / "public.pth")
    return path


def readers(path: Path) -> dict[str, tuple[Path, Read]]:
    trainer = make_trainer(path, Engine("cpu"), tiny_training(epochs=1))
    method, optimizer = trainer.method, trainer.optimizer

    def resume(_: Path) -> None:
        with contextlib.suppress(UnusableError):  # training then starts anew
            state = load_last(trainer.folder, method, optimizer)
            assert state is not None
            assert (state.epoch, len(state.history)) == (1, 1)

    def weights(file: Path) -> None:
        with contextlib.suppress(RuntimeError):  # of another model, which every caller turns into a message
            load_weights(file, method)

    best = best_path(trainer.folder, trainer.state.best_epoch)
    assert best == find_best(trainer.folder)
    return {
        "resume point": (trainer.folder.checkpoints / LAST, resume),
        "best weights": (best, weights),
        "public weights": (path / "public.pth", lambda file: read_public_weights(file)),
    }


def check(path: Path, what: str, count: int) -> None:
    file, read = readers(path)[what]
    whole = file.read_bytes()
    for number, content in enumerate(damaged(whole, count)):
        file.write_bytes(content)
        try:
            with contextlib.suppress(UserError):
                read(file)
        except Exception as error:
            raise AssertionError(f"input {number} of {what}") from error
    file.write_bytes(whole)
    read(file)


@pytest.mark.parametrize("what", ["resume point", "best weights", "public weights"])
def test_some_damage(what: str, trained: Path) -> None:
    check(trained, what, 60)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["resume point", "best weights", "public weights"])
def test_any_damage(what: str, trained: Path) -> None:
    check(trained, what, INPUTS)
