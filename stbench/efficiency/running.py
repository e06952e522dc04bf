"""Predictions and optimiser steps of a method on an engine, as functions without arguments to be timed."""

from __future__ import annotations

from collections.abc import Callable

from stbench.efficiency.records import Mode
from stbench.efficiency.subject import build, random_clip
from stbench.nn import Method, Progress
from stbench.nn.conv_choice import choose_convolutions
from stbench.schema import ClipShape, Parameters, RunSpec, Training
from stbench.train.engine import Engine, TrainingModule


class Runner:
    """A method on an engine. Axes of its clips: B, T, C, H, W.

    Args:
        spec: the method and its training settings.
        engine: device and precision.
        shape: overrides the shape of the spec.
        compiled: run the method through torch.compile, whatever its training settings.
    """

    def __init__(
        self, spec: RunSpec, engine: Engine, *, shape: ClipShape | None = None, compiled: bool = False
    ) -> None:
        self.spec = spec
        self.engine = engine
        self.method: Method = engine.place(build(spec, shape))
        training = spec.training
        self.method.activation_checkpointing = training is not None and training.activation_checkpointing
        if training is not None and training.fast_conv:
            choose_convolutions(self.method, {})
        if compiled or (training is not None and training.compile):
            engine.compile(self.method)
        self._module: TrainingModule | None = None

    def work(self, mode: Mode, batch: int) -> Callable[[], object]:
        """Return a prediction in evaluation mode, or an optimiser step, on a batch that is already on the device.

        Each call sets the mode that it needs, so both kinds may alternate.
        """
        return self._prediction(batch) if mode == "inference" else self._step(batch)

    def _prediction(self, batch: int) -> Callable[[], object]:
        method, engine = self.method, self.engine
        past = random_clip(method.shape, batch, engine.device)[:, : method.shape.t_in]

        def predict() -> object:
            if method.training:
                method.eval()
            return engine.predict(method, past)

        return predict

    def _step(self, batch: int) -> Callable[[], object]:
        training = self.spec.training
        assert training is not None, "an untrained method has no training step"
        module, method = self._training_module(training), self.method
        clip = random_clip(method.shape, batch, self.engine.device)

        def step() -> object:
            if not method.training:
                method.train()
            return module.step(clip, Progress(), accumulate=1, clip_norm=training.clip_norm)

        return step

    def _training_module(self, training: Training) -> TrainingModule:
        if self._module is None:
            optimizer = training.optimizer.build(Parameters(self.method), training.lr)
            self._module = self.engine.wrap(self.method, optimizer)
        return self._module
