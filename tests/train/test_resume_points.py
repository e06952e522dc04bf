"""Resume points: damage, changed data or code, another batch or number of processes, earlier versions."""

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from stbench.errors import MachineError, UserError
from stbench.schema.folder import RunFolder
from stbench.train.checkpoint import Origin, _is_whole, _read_whole, find_best, load_weights
from stbench.train.engine import Engine
from tests.train.tiny import Recorder, make_trainer, tiny_training, weights


@pytest.mark.parametrize("damage", ["last.pt cut short", "best weights gone", "best weights cut short"])
def test_a_damaged_resume_point_is_put_aside_and_training_starts_anew(
    tmp_path: Path, engine: Engine, damage: str
) -> None:
    whole = make_trainer(tmp_path, engine, tiny_training(epochs=1))
    whole.run()
    last = tmp_path / "checkpoints" / "last.pt"
    if damage == "last.pt cut short":
        last.write_bytes(last.read_bytes()[:500])
    elif damage == "best weights gone":
        find_best(whole.folder).unlink()
    else:
        best = find_best(whole.folder)
        best.write_bytes(best.read_bytes()[:-20])
    again = make_trainer(tmp_path, engine, tiny_training(epochs=1))
    assert again.state.step == 0
    assert last.with_name("last.pt.damaged").is_file()
    again.run()
    assert all(torch.equal(a, b) for a, b in zip(weights(whole).values(), weights(again).values(), strict=True))


def test_a_resume_point_of_another_model_is_refused(tmp_path: Path, engine: Engine) -> None:
    trainer = make_trainer(tmp_path, engine, tiny_training(epochs=1))
    trainer.run()
    content = torch.load(tmp_path / "checkpoints" / "last.pt", weights_only=True)
    content["method"].pop("conv.weight")
    content.pop("checksum")  # as earlier versions wrote it
    torch.save(content, tmp_path / "checkpoints" / "last.pt")
    with pytest.raises(UserError, match=r"last\.pt cannot be resumed from"):
        make_trainer(tmp_path, engine, tiny_training(epochs=1))


def origin(**changes: Any) -> Origin:
    return Origin(**{"data": "d1", "source": "s1", "batch_size": 4, "world_size": 1, **changes})


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Path:
    """A run of one epoch."""
    path = tmp_path_factory.mktemp("stopped")
    trainer = make_trainer(path, engine, tiny_training(epochs=1), origin=origin())
    trainer.run()
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data": "d2"}, "the data changed"),
        ({"source": "s2"}, "the method's code changed"),
        ({"data": "d2", "source": "s2"}, "the data and the method's code changed"),
    ],
)
def test_training_on_changed_data_or_code_starts_anew_and_says_so(
    stopped: Path, tmp_path: Path, engine: Engine, change: dict[str, str], said: str
) -> None:
    shutil.copytree(stopped, tmp_path / "run")
    listener = Recorder()
    path = tmp_path / "run"
    assert (path / "learning_rate.npy").is_file()
    trainer = make_trainer(path, engine, tiny_training(epochs=1), listener=listener, origin=origin(**change))
    assert trainer.state.step == 0
    assert said in listener.notes[0]
    assert said in trainer.folder.environment()["restarted"]
    assert (path / "checkpoints" / "last.pt.outdated").is_file()
    assert not trainer.folder.file("learning_rate.npy").exists()  # other data may have another number of steps
    fresh = make_trainer(tmp_path / "fresh", engine, tiny_training(epochs=1))
    assert all(torch.equal(a, b) for a, b in zip(trainer.method.parameters(), fresh.method.parameters(), strict=True))


@pytest.mark.parametrize(
    ("change", "said"), [({"world_size": 2}, "--devices 1"), ({"batch_size": 8}, "--batch-size 4")]
)
def test_another_batch_or_number_of_processes_is_refused(
    stopped: Path, engine: Engine, change: dict[str, int], said: str
) -> None:
    with pytest.raises(UserError, match=f"Use {said}, or delete the file"):
        make_trainer(stopped, engine, tiny_training(epochs=1), origin=origin(**change))


def test_the_same_origin_resumes(stopped: Path, engine: Engine) -> None:
    assert make_trainer(stopped, engine, tiny_training(epochs=1), origin=origin()).state.step == 5


def test_any_flipped_bit_of_a_checkpoint_is_noticed(stopped: Path, tmp_path: Path) -> None:
    """Spread over both files, and every bit of the marks and of the places that name them."""
    for source in (stopped / "checkpoints" / "last.pt", find_best(RunFolder(stopped))):
        content = source.read_bytes()
        size, copy = len(content), tmp_path / source.name
        mark = content.index(b"stbench-sha256:")
        header = range(20) if source.suffix == ".safetensors" else range(size - 103, size)
        bits = {8 * place + place % 8 for place in (*range(0, size, 97), *range(mark - 20, mark + 79), *header)}
        for bit in (bit for bit in bits if bit // 8 < size):
            flipped = bytearray(content)
            flipped[bit // 8] ^= 1 << bit % 8
            copy.write_bytes(flipped)
            assert not (_read_whole(copy) if source.suffix == ".pt" else _is_whole(copy)), bit
        copy.write_bytes(content)
        assert _read_whole(copy) if source.suffix == ".pt" else _is_whole(copy)


@pytest.mark.parametrize("name", ["last.pt", "best-00001.safetensors"])
def test_a_checkpoint_that_the_machine_cannot_read_is_not_damaged(
    name: str, stopped: Path, tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(stopped, tmp_path / "run")
    before = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    real = Path.open

    def failing(path: Path, *rest: Any, **more: Any) -> Any:
        if path.name == name:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, *rest, **more)

    monkeypatch.setattr(Path, "open", failing)
    with pytest.raises(MachineError, match=name):
        make_trainer(tmp_path / "run", engine, tiny_training(epochs=1), origin=origin())
    assert sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir()) == before


def test_processes_that_read_another_resume_point_do_not_go_on(
    stopped: Path, tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other process could read the file: as seen from this one, some of each flag are set."""
    shutil.copytree(stopped, tmp_path / "run")
    (tmp_path / "run" / "checkpoints" / "last.pt").write_bytes(b"torn")
    monkeypatch.setattr(Engine, "any", lambda _self, _flag: True)
    with pytest.raises(MachineError, match="not the same"):
        make_trainer(tmp_path / "run", engine, tiny_training(epochs=1))
    assert (tmp_path / "run" / "checkpoints" / "last.pt").read_bytes() == b"torn"


def test_weights_of_an_earlier_version_load_without_a_checksum(stopped: Path, tmp_path: Path, engine: Engine) -> None:
    method = make_trainer(tmp_path / "other", engine, tiny_training(epochs=1)).method
    save_file(load_file(find_best(RunFolder(stopped))), tmp_path / "old.safetensors")
    load_weights(tmp_path / "old.safetensors", method)
    assert torch.equal(method.state_dict()["conv.weight"], load_file(tmp_path / "old.safetensors")["conv.weight"])
