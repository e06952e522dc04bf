"""The setting ``fast_conv``: off, nothing changes; on, choices are recorded and a resumed run repeats the bits."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from stbench.errors import UserError
from stbench.nn import conv_choice
from stbench.schema import Training
from stbench.train.engine import Engine
from stbench.train.interrupt import StopRequest
from stbench.train.loop import Trainer
from tests.train.tiny import make_trainer, tiny_training


class StopAfterOneStep(StopRequest):
    @property
    def requested(self) -> bool:
        return True

    @requested.setter
    def requested(self, value: bool) -> None:
        """Set by the base class."""


def with_fast_convolutions() -> Training:
    return tiny_training().model_copy(update={"fast_conv": True})


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return copy.deepcopy(trainer.method.state_dict())


def test_a_run_without_it_keeps_its_name_and_its_modules(tmp_path: Path, engine: Engine) -> None:
    training = tiny_training()
    assert "fast_conv" not in training.model_dump()
    assert with_fast_convolutions().model_dump()["fast_conv"] is True
    trainer = make_trainer(tmp_path, engine, training)
    assert not any(type(module).__name__.startswith("Chosen") for module in trainer.method.modules())


def test_choices_are_recorded_and_kept_on_resume(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock says F(4x4) at first and F(2x2) at the resume, which must not ask it."""
    monkeypatch.setattr(conv_choice, "_fastest", lambda *_: "F(4x4)")
    whole = make_trainer(tmp_path / "whole", engine, with_fast_convolutions())
    whole.run()
    with pytest.raises(KeyboardInterrupt):
        make_trainer(tmp_path / "cut", engine, with_fast_convolutions(), stop=StopAfterOneStep()).run()
    monkeypatch.setattr(conv_choice, "_fastest", lambda *_: "F(2x2)")
    resumed = make_trainer(tmp_path / "cut", engine, with_fast_convolutions())
    assert 0 < resumed.state.step < whole.state.step
    resumed.run()
    assert set(resumed.state.convolutions.values()) == {"F(4x4)"}
    assert all(torch.equal(a, b) for a, b in zip(weights(whole).values(), weights(resumed).values(), strict=True))
    recorded = resumed.folder.environment()["convolutions"]
    assert recorded == resumed.state.convolutions
    # what a resume writes on the same machine keeps what the run found out
    resumed.folder.write_environment({})
    assert resumed.folder.environment()["convolutions"] == recorded


def test_several_processes_are_refused(tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Engine, "world_size", 2)
    with pytest.raises(UserError, match="Use one process"):
        make_trainer(tmp_path, engine, with_fast_convolutions())
