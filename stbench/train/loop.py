"""The training loop: epochs of steps, a validation after each, the best weights by validation MSE.

A run can be killed at any moment: weights, moments and position are saved at every epoch's end and every few minutes,
and each step draws its randomness from (seed, step), so that a resumed run repeats the killed one bit by bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from stbench.data import ClipLoader
from stbench.nn import Method, Progress
from stbench.schema import Training
from stbench.schema.folder import RunFolder, write_with
from stbench.train.checkpoint import TrainState, best_path, load_last, save_last, save_weights
from stbench.train.engine import Engine, TrainingModule
from stbench.train.interrupt import StopRequest
from stbench.train.schedules import Rate, rate_at
from stbench.train.seeding import step_generator
from stbench.train.validate import validation_mse

CHECKPOINT_SECONDS = 300.0
CHECK_EVERY = 20


class DivergedError(RuntimeError):
    """The loss or the validation error stopped being a finite number."""


class Listener(Protocol):
    """Who watches a run; the CLI shows bars, tests count calls."""

    def on_step(self, *, epoch: int, step: int, steps: int, loss: float, lr: float) -> None:
        """Some steps of an epoch are done (not called for every one)."""

    def on_epoch(self, record: Mapping[str, Any]) -> None:
        """An epoch and its validation are done."""


class Trainer:
    """Trains one placed method in one run folder.

    Args:
        method: placed on the engine's device.
        training: how.
        loaders: of the training and the validation split.
        folder: where checkpoints and the history go.
        seed: of every random draw.
        stop: asks the loop to save and leave.
    """

    def __init__(
        self,
        method: Method,
        training: Training,
        loaders: tuple[ClipLoader, ClipLoader],
        folder: RunFolder,
        *,
        seed: int,
        engine: Engine,
        listener: Listener,
        stop: StopRequest,
    ) -> None:
        self.method = method
        self.training = training
        self.train_loader, self.val_loader = loaders
        self.folder = folder
        self.seed = seed
        self.engine = engine
        self.listener = listener
        self.stop = stop
        self.steps = self.train_loader.steps_per_epoch
        self.optimizer = engine.adam(method, training.optimizer, training.lr)
        self.state = load_last(folder, method, self.optimizer) or TrainState()
        self.module = engine.wrap(method, self.optimizer)
        self._saved_at = time.monotonic()

    def run(self) -> TrainState:
        """Train to the last epoch, or to an early stop.

        Raises:
            DivergedError: a loss or validation error is NaN or infinite.
            KeyboardInterrupt: a stop was asked for; the state is saved.
        """
        self._save_rates()
        while self.state.epoch < self.training.epochs and not self._exhausted():
            self._epoch()
        return self.state

    def _exhausted(self) -> bool:
        patience, best = self.training.patience, self.state.best_epoch
        return patience is not None and best is not None and self.state.epoch - 1 - best >= patience

    def _epoch(self) -> None:
        state = self.state
        self.method.train()
        terms: dict[str, Tensor] = {}
        clock = time.monotonic()
        for clip in self.train_loader.epoch(state.epoch, state.step_in_epoch):
            lr = self._apply(self._rate(state.step, state.epoch))
            for name, value in self._step(self.module, clip).items():
                terms[name] = terms[name] + value.double() if name in terms else value.double()
            state.step += 1
            state.step_in_epoch += 1
            if state.step % CHECK_EVERY == 0 or state.step_in_epoch == self.steps:
                self._check_and_show(terms, lr)
            if self.stop.requested or time.monotonic() - self._saved_at > CHECKPOINT_SECONDS:
                clock = self._account(clock)
                self._flush(terms)
                self._save()
                self.stop.leave()
        self._account(clock)
        self._flush(terms)
        self._validate()

    def _step(self, module: TrainingModule, clip: Tensor) -> dict[str, Tensor]:
        generator = step_generator(self.seed, self.state.step, self.engine.rank)
        progress = Progress(
            step=self.state.step,
            epoch=self.state.epoch,
            total_steps=self.steps * self.training.epochs,
            total_epochs=self.training.epochs,
            generator=generator,
        )
        return module.step(
            self.engine.to_device(clip),
            progress,
            accumulate=self.training.accumulate,
            clip_norm=self.training.clip_norm,
        )

    def _rate(self, step: int, epoch: int) -> Rate:
        return rate_at(
            self.training.schedule,
            self.training.lr,
            step=step,
            total_steps=self.steps * self.training.epochs,
            epoch=epoch,
            total_epochs=self.training.epochs,
        )

    def _apply(self, rate: Rate) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = rate.lr
            if rate.beta1 is not None:
                group["betas"] = (rate.beta1, group["betas"][1])
        return rate.lr

    def _save_rates(self) -> None:
        if self.engine.is_main and not self.folder.file("learning_rate.npy").exists():
            steps = range(self.steps * self.training.epochs)
            rates = np.array([self._rate(step, step // self.steps).lr for step in steps])
            write_with(self.folder.file("learning_rate.npy"), lambda path: _save_array(path, rates))

    def _check_and_show(self, terms: Mapping[str, Tensor], lr: float) -> None:
        """Look at the loss (which waits for the device), so every few steps only."""
        done = self.state.step_in_epoch
        loss = (float(terms["loss"]) + self.state.sums.get("loss", 0.0)) / done
        if not math.isfinite(loss):
            raise DivergedError(f"the training loss is {loss} at epoch {self.state.epoch + 1}, step {done}")
        self.listener.on_step(epoch=self.state.epoch, step=done, steps=self.steps, loss=loss, lr=lr)

    def _flush(self, terms: dict[str, Tensor]) -> None:
        """Move the loss sums from the device into the state."""
        for name, value in terms.items():
            self.state.sums[name] = self.state.sums.get(name, 0.0) + float(value)
        terms.clear()

    def _account(self, since: float) -> float:
        now = time.monotonic()
        self.state.epoch_seconds += now - since
        return now

    def _validate(self) -> None:
        state = self.state
        started = time.monotonic()
        score = validation_mse(self.method, self.val_loader, self.engine)
        if not math.isfinite(score):
            raise DivergedError(f"the validation MSE is {score} after epoch {state.epoch + 1}")
        means = self.engine.sum(torch.tensor([state.sums[k] for k in sorted(state.sums)], dtype=torch.float64))
        record = {
            "epoch": state.epoch,
            "step": state.step,
            "lr": self._rate(state.step - 1, state.epoch).lr,
            **{
                f"train_{name}": float(total) / (self.steps * self.engine.world_size)
                for name, total in zip(sorted(state.sums), means, strict=True)
            },
            "val_mse_frame": score,
            "train_seconds": state.epoch_seconds,
            "val_seconds": time.monotonic() - started,
        }
        state.history.append(record)
        state.train_seconds += state.epoch_seconds
        if score < state.best_score:
            state.best_score, state.best_epoch = score, state.epoch
            if self.engine.is_main:
                save_weights(best_path(self.folder, state.best_epoch), self.method)
        state.epoch, state.step_in_epoch, state.sums, state.epoch_seconds = state.epoch + 1, 0, {}, 0.0
        self._save()
        self.listener.on_epoch(record)
        self.stop.leave()

    def _save(self) -> None:
        if self.engine.is_main:
            save_last(self.folder, self.state, self.method, self.optimizer)
            self.folder.write_history(self.state.history)
        self.engine.barrier()
        self._saved_at = time.monotonic()


def _save_array(path: Any, values: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    with path.open("wb") as handle:
        np.save(handle, values)
