"""The moving average of the weights: by hand, selected and scored, exact on resume."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from stbench.errors import UserError
from stbench.train.average import WeightAverage
from stbench.train.checkpoint import find_best, load_weights
from stbench.train.engine import Engine
from stbench.train.validate import validation_mse
from tests.train.test_loop import StopAfter, weights, without_times
from tests.train.tiny import make_trainer, tiny_training


def test_against_the_recursion_written_out(tmp_path: Path, engine: Engine) -> None:
    method = make_trainer(tmp_path, engine, tiny_training()).method
    average = WeightAverage(method, 0.5)
    generator = np.random.default_rng(0)
    expected = method.conv.bias.detach().double().numpy().copy()
    for n in range(20):
        with torch.no_grad():
            method.conv.bias.copy_(torch.from_numpy(generator.random(expected.shape)))
        method.norm.num_batches_tracked += 1
        average.update()
        decay = min(0.5, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * method.conv.bias.detach().double().numpy()
    assert average.tensors["conv.bias"].numpy() == pytest.approx(expected, rel=1e-5)
    assert int(average.tensors["norm.num_batches_tracked"]) == 20
    before = copy.deepcopy(method.state_dict())
    with average.applied():
        assert method.conv.bias.detach().numpy() == pytest.approx(expected, rel=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())


def test_averaged_weights_are_validated_selected_and_kept(tmp_path: Path, engine: Engine) -> None:
    trainer = make_trainer(tmp_path / "averaged", engine, tiny_training(ema=0.9))
    state = trainer.run()
    assert state.best_epoch is not None
    final = validation_mse(trainer.method, trainer.val_loader, engine)
    assert final == state.history[-1]["val_mse_frame"]
    load_weights(find_best(trainer.folder), trainer.method)
    assert validation_mse(trainer.method, trainer.val_loader, engine) == state.best_score
    plain = make_trainer(tmp_path / "plain", engine, tiny_training())
    losses = [[epoch["train_loss"] for epoch in run.history] for run in (plain.run(), state)]
    assert losses[0] == losses[1]  # the average watches the training and does not change it
    assert plain.state.history[-1]["val_mse_frame"] != final


@pytest.mark.parametrize("looks", [3, 5, 12])
def test_resumes_exactly(tmp_path: Path, engine: Engine, looks: int) -> None:
    training = tiny_training(ema=0.9)
    whole = make_trainer(tmp_path / "whole", engine, training)
    whole.run()
    with pytest.raises(KeyboardInterrupt):
        make_trainer(tmp_path / "cut", engine, training, stop=StopAfter(looks)).run()
    cut = make_trainer(tmp_path / "cut", engine, training)
    cut.run()
    assert without_times(cut.state.history) == without_times(whole.state.history)
    assert all(torch.equal(value, weights(cut)[name]) for name, value in weights(whole).items())


def test_a_resume_point_without_average_is_refused(tmp_path: Path, engine: Engine) -> None:
    make_trainer(tmp_path, engine, tiny_training()).run()
    with pytest.raises(UserError, match="cannot be resumed from"):
        make_trainer(tmp_path, engine, tiny_training(ema=0.9))
