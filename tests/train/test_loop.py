"""The loop: exact resume from any point, selection, early stop, divergence, accumulation and clipping."""

import itertools
import math
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from stbench.nn import METHODS, Progress, create_method
from stbench.schema import ClipShape, Parameters
from stbench.schema.folder import RunFolder
from stbench.train import loop
from stbench.train.checkpoint import best_path, find_best, load_weights
from stbench.train.engine import Engine
from stbench.train.interrupt import StopRequest
from stbench.train.loop import DivergedError
from stbench.train.optimizers import Adam
from stbench.train.schedules import Cosine
from tests.train.tiny import Recorder, StopAfter, make_trainer, tiny_training, weights


def without_times(history: list[dict]) -> list[dict]:
    return [{k: v for k, v in record.items() if not k.endswith("seconds")} for record in history]


def test_the_first_step_is_shown_at_once_and_slow_steps_often(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four epochs of five steps: the first and each epoch's last; every one where steps take long. Same weights."""
    fast, slow = Recorder(), Recorder()
    make_trainer(tmp_path / "fast", engine, tiny_training(), listener=fast).run()
    monkeypatch.setattr(loop, "SHOW_SECONDS", -1.0)
    make_trainer(tmp_path / "slow", engine, tiny_training(), listener=slow).run()
    assert (len(fast.steps), len(slow.steps)) == (5, 20)
    assert [record["train_loss"] for record in fast.epochs] == [record["train_loss"] for record in slow.epochs]


@pytest.mark.parametrize("steps", [0, 1, 4, 7, 13, 19])
def test_stopped_and_resumed_is_bitwise_the_same(tmp_path: Path, engine: Engine, steps: int) -> None:
    training = tiny_training(schedule=Cosine(warmup_epochs=1))
    whole = make_trainer(tmp_path / "whole", engine, training)
    whole_state = whole.run()

    with pytest.raises(KeyboardInterrupt):
        make_trainer(tmp_path / "cut", engine, training, stop=StopAfter(steps)).run()
    resumed = make_trainer(tmp_path / "cut", engine, training)
    assert 0 < resumed.state.step <= steps + 1
    state = resumed.run()

    assert all(torch.equal(a, b) for a, b in zip(weights(whole).values(), weights(resumed).values(), strict=True))
    assert without_times(state.history) == without_times(whole_state.history)
    assert (state.best_epoch, state.best_score) == (whole_state.best_epoch, whole_state.best_score)
    assert find_best(resumed.folder).read_bytes() == find_best(whole.folder).read_bytes()


def test_killed_without_saving_repeats_from_the_last_epoch(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_trainer(tmp_path / "whole", engine, tiny_training())
    whole.run()
    cut = make_trainer(tmp_path / "cut", engine, tiny_training())
    calls = itertools.count()

    def dies(*args: object) -> None:
        if next(calls) == 8:
            raise SystemExit("killed")

    monkeypatch.setattr(cut, "_next_rate", lambda since, rate=cut._next_rate: (dies(), rate(since))[1])
    with pytest.raises(SystemExit):
        cut.run()
    resumed = make_trainer(tmp_path / "cut", engine, tiny_training())
    assert resumed.state.step == 5
    resumed.run()
    assert all(torch.equal(a, b) for a, b in zip(weights(whole).values(), weights(resumed).values(), strict=True))


def test_best_weights_are_those_of_the_best_epoch(tmp_path: Path, engine: Engine) -> None:
    trainer = make_trainer(tmp_path, engine, tiny_training(lr=0.3))
    state = trainer.run()
    scores = [record["val_mse_frame"] for record in state.history]
    assert state.best_epoch == scores.index(min(scores))
    load_weights(best_path(trainer.folder, state.best_epoch), trainer.method)
    assert loop.validation_mse(trainer.method, trainer.val_loader, engine) == min(scores)
    assert len(list(trainer.folder.checkpoints.glob("best-*"))) == 1


def test_validation_mse_is_the_brute_force_one(tmp_path: Path, engine: Engine) -> None:
    trainer = make_trainer(tmp_path, engine, tiny_training())
    trainer.method.eval()
    errors = []
    for clip in trainer.val_loader.epoch(0):
        with torch.no_grad():
            pred = trainer.method(clip[:, :2])
        errors += [
            float((p - t).double().square().sum())
            for p, t in zip(pred.flatten(0, 1), clip[:, 2:].flatten(0, 1), strict=True)
        ]
    assert len(errors) == 12
    ours = loop.validation_mse(trainer.method, trainer.val_loader, engine)
    assert ours == pytest.approx(sum(errors) / len(errors), rel=1e-6)


def test_early_stop(tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([3.0, 2.0, 2.5, 2.0, 1.0, 0.5])
    monkeypatch.setattr(loop, "validation_mse", lambda *_, **__: next(scores))
    state = make_trainer(tmp_path, engine, tiny_training(epochs=6, patience=2)).run()
    assert (state.epoch, state.best_epoch) == (4, 1)


def test_rates_are_saved_and_applied(tmp_path: Path, engine: Engine) -> None:
    recorder = Recorder()
    trainer = make_trainer(tmp_path, engine, tiny_training(schedule=Cosine(warmup_epochs=2)), listener=recorder)
    trainer.run()
    rates = np.load(trainer.folder.file("learning_rate.npy"))
    assert rates.shape == (20,)
    assert [record["lr"] for record in recorder.epochs] == rates[4::5].tolist()
    assert trainer.optimizer.param_groups[0]["lr"] == rates[-1]


def test_history_holds_mean_losses(tmp_path: Path, engine: Engine) -> None:
    trainer = make_trainer(tmp_path, engine, tiny_training())
    state = trainer.run()
    assert RunFolder(tmp_path).history() == state.history
    assert [record["epoch"] for record in state.history] == [0, 1, 2, 3]
    for record in state.history:
        assert record["train_mse"] < record["train_loss"] < 2 * record["train_mse"]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_divergence_is_an_error(tmp_path: Path, engine: Engine, bad: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "validation_mse", lambda *_, **__: bad)
    with pytest.raises(DivergedError, match="validation MSE is"):
        make_trainer(tmp_path / "a", engine, tiny_training()).run()
    trainer = make_trainer(tmp_path / "b", engine, tiny_training())
    with torch.no_grad():
        trainer.method.conv.weight.fill_(bad)
    with pytest.raises(DivergedError, match=r"training loss is (nan|inf) at epoch 1"):
        trainer.run()


def test_accumulated_parts_weigh_by_size(tmp_path: Path, engine: Engine) -> None:
    """Without BatchNorm and dropout, two half batches give the gradient of the whole one."""
    clip = next(iter(make_trainer(tmp_path / "x", engine, tiny_training()).train_loader.epoch(0)))
    after = []
    for number, accumulate in enumerate((1, 2, 4)):
        trainer = make_trainer(tmp_path / str(number), engine, tiny_training(accumulate=accumulate))
        trainer.method.dropout.p = trainer.method.jitter = 0.0
        trainer.method.norm = torch.nn.Identity()
        trainer.optimizer.param_groups[0]["eps"] = 1.0  # a step proportional to the gradient
        trainer.module.step(clip, loop.Progress(), accumulate=accumulate, clip_norm=None)
        after.append(weights(trainer))
    for other in after[1:]:
        for name, value in after[0].items():
            torch.testing.assert_close(other[name], value, rtol=1e-3, atol=1e-7)


def test_clipping_bounds_the_gradient(tmp_path: Path, engine: Engine) -> None:
    norms = []
    for clip_norm in (None, 1e-3):
        trainer = make_trainer(tmp_path / str(clip_norm), engine, tiny_training())
        seen: list[float] = []
        trainer.optimizer.register_step_pre_hook(
            lambda opt, *_, seen=seen: seen.append(
                math.sqrt(sum(float(p.grad.square().sum()) for g in opt.param_groups for p in g["params"]))
            )
        )
        clip = next(iter(trainer.train_loader.epoch(0)))
        trainer.module.step(clip, loop.Progress(), accumulate=1, clip_norm=clip_norm)
        norms += seen
    assert norms[0] > 1e-2
    assert norms[1] == pytest.approx(1e-3, rel=1e-2)


def test_batch_must_divide() -> None:
    with pytest.raises(ValueError, match="batch_size 4 is not a multiple of accumulate 3"):
        tiny_training(accumulate=3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["simvp", "convlstm"])
def test_compiled_training_gives_the_same_losses(name: str) -> None:
    shape = ClipShape(t_in=3, t_out=3, channels=1, height=8, width=8)
    clip = torch.rand(2, 6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    losses = []
    for compiled in (False, True):
        torch.manual_seed(0)
        engine = Engine("cpu")
        method = engine.place(create_method(name, shape, **METHODS.get(name).small)).train()
        if compiled:
            engine.compile(method)
        module = engine.wrap(method, Adam().build(Parameters(method), 1e-3))
        steps = [module.step(clip, Progress(step=i), accumulate=1, clip_norm=None)["loss"].item() for i in range(3)]
        losses.append(steps)
    assert losses[0][2] < losses[0][0]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_settings_of_training_reach_the_method(tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    monkeypatch.setattr(Engine, "compile", lambda _, method: compiled.append(method))
    plain = make_trainer(tmp_path / "plain", engine, tiny_training())
    assert not plain.method.activation_checkpointing
    assert not compiled
    asked = make_trainer(tmp_path / "asked", engine, tiny_training(activation_checkpointing=True, compile=True))
    assert asked.method.activation_checkpointing
    assert compiled == [asked.method]


def test_a_history_that_a_kill_left_behind_the_weights_is_made_up_for(tmp_path: Path, engine: Engine) -> None:
    """The kill falls between the last resume point and its line of the history; nothing is left to train."""
    trainer = make_trainer(tmp_path, engine, tiny_training())
    trainer.run()
    file = tmp_path / "history.jsonl"
    whole = file.read_text()
    file.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    orphan = tmp_path / "checkpoints" / "best-00099.safetensors"
    orphan.write_bytes(b"of an epoch whose resume point was never written")
    make_trainer(tmp_path, engine, tiny_training()).run()
    assert file.read_text() == whole
    assert not orphan.exists()


def test_every_process_gets_its_own_loss_sums_back() -> None:
    parts = [{"loss": 3.0, "mse": 1.0}, {"loss": 5.0, "mse": 2.0}]
    for rank, part in enumerate(parts):
        state = loop.TrainState(sums=parts[0], rank_sums=parts)
        state.take_sums(rank, 2)
        assert state.sums == part
    totals = {}
    for processes in (1, 4):  # the means over processes stay as they were
        states = [loop.TrainState(sums=parts[0], rank_sums=parts) for _ in range(processes)]
        for rank, state in enumerate(states):
            state.take_sums(rank, processes)
        totals[processes] = sum(state.sums["loss"] for state in states) / processes
    assert totals == {1: 4.0, 4: 4.0}


@pytest.mark.parametrize("broken", [BrokenPipeError, ValueError])
def test_a_stop_is_heard_where_nobody_reads_the_error_stream(
    broken: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone:
        def write(self, text: str) -> None:
            raise broken

        flush = write

    request = StopRequest()
    monkeypatch.setattr("sys.stderr", Gone())
    request._handle(signal.SIGINT, None)
    assert request.requested
