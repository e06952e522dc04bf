"""The training loop: epochs of steps, validation after each epoch, best weights by validation MSE.

A run can be killed at any moment. Weights, moments and position are saved at the end of every epoch and every few
minutes. Each step derives its random draws from (seed, step), so a resumed run is bit-identical to an unbroken one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stbench.data import ClipLoader
from stbench.errors import MachineError, UserError
from stbench.events import RunListener
from stbench.nn import Method, Progress
from stbench.nn.conv_choice import choose_convolutions
from stbench.schema import Parameters, Rate, Training
from stbench.schema.folder import RunFolder, write_with
from stbench.schema.lines import CURVE
from stbench.train.average import WeightAverage
from stbench.train.checkpoint import (
    LAST,
    Origin,
    TrainState,
    UnusableError,
    best_path,
    drop_other_weights,
    load_last,
    save_last,
    save_weights,
)
from stbench.train.curve import Curve
from stbench.train.engine import Engine, TrainingModule
from stbench.train.interrupt import StopRequest
from stbench.train.length import Length, epochs_that_fit, run_length
from stbench.train.rates import apply_rate, follows_clock, rate_at_share, rate_at_step
from stbench.train.seeding import step_generator
from stbench.train.validate import validation_mse

CHECKPOINT_SECONDS = 300.0
CHECK_EVERY = 20
SHOW_SECONDS = 5.0
"""The loss of slow steps is shown more often than every ``CHECK_EVERY`` steps."""
MOST_RATES = 1_000_000
"""Steps of a run beyond which its learning rates are not written out."""


class DivergedError(RuntimeError):
    """The loss or the validation error is NaN or infinite."""


class PrunedError(RuntimeError):
    """A search gave the run up (:meth:`stbench.schema.folder.RunFolder.prune`); the message is the reason."""


class Trainer:
    """Train a method in a run folder.

    Args:
        method: a method on the engine's device.
        training: training settings.
        loaders: loaders of the training and the validation split.
        folder: run folder for checkpoints and the history.
        seed: seed of all random draws.
        listener: receives events.
        stop: request to save and stop.
        macs_per_step: multiply-adds of one optimiser step, for the history, or None.
        origin: what the run is made from; training resumes only from a resume point made from the same.
        incomplete: whether clips may hold NaN where nothing was measured.
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
        listener: RunListener,
        stop: StopRequest,
        macs_per_step: int | None = None,
        origin: Origin | None = None,
        incomplete: bool = False,
    ) -> None:
        self.method = method
        self.training = training
        self.train_loader, self.val_loader = loaders
        self.folder = folder
        self.seed = seed
        self.engine = engine
        self.listener = listener
        self.stop = stop
        self.macs_per_step = macs_per_step
        self.incomplete = incomplete
        self.origin = origin or Origin(batch_size=training.batch_size, world_size=engine.world_size)
        self.steps = self.train_loader.steps_per_epoch
        method.activation_checkpointing = training.activation_checkpointing
        if training.compile:
            engine.compile(method)
        self.optimizer = training.optimizer.build(Parameters(method), training.lr)
        self.average = None if training.ema is None else WeightAverage(method, training.ema)
        self.state = self._resumed()
        self.state.take_sums(engine.rank, engine.world_size)
        if training.fast_conv:
            if engine.world_size > 1:
                raise UserError(
                    "fast_conv=true: processes could choose different algorithms. Use one process, or leave it out."
                )
            choose_convolutions(method, self.state.convolutions)
        self.module = engine.wrap(method, self.optimizer, incomplete=incomplete)
        self.curve = Curve(folder.file(CURVE), engine, self.origin.name)
        self._saved_at = time.monotonic()
        self._shown_at: float | None = None

    def run(self) -> TrainState:
        """Train until the last epoch or step, the end of a budget of time, or an early stop.

        Raises:
            DivergedError: a loss or validation error is NaN or infinite.
            KeyboardInterrupt: a stop was requested; the state is saved.
            PrunedError: a search gave the run up after an epoch.
        """
        self._settle()
        self._save_rates()
        while not self._at_end() and not self._exhausted():
            self._leave_if_pruned()
            self._epoch()
        if self.average is not None:
            self.average.apply()
        return self.state

    def _resumed(self) -> TrainState:
        """The state of the resume point, weights and moments restored; a new one where none can be used.

        Raises:
            MachineError: the data-parallel processes did not read the same.
        """
        state, reason, kind = None, "", ""
        try:
            state = load_last(self.folder, self.method, self.optimizer, self.average, self.origin)
        except UnusableError as error:
            reason, kind = str(error), error.kind
        if not self.engine.any(bool(reason)):
            return state or TrainState()
        if self.engine.any(not reason):  # some have its weights
            raise MachineError(f"{self.folder.checkpoints / LAST} was not the same for all data-parallel processes")
        note, kept = f"{reason}; training starts anew", f"{LAST}.{kind}"
        if self.engine.is_main:
            self.folder.file("learning_rate.npy").unlink(missing_ok=True)  # of another number of steps, perhaps
            (self.folder.checkpoints / LAST).replace(self.folder.checkpoints / kept)
            self.folder.add_to_environment(restarted=note)
            self.listener.on_note(f"{note} (the old resume point is kept as {kept})")
        return TrainState()

    @property
    def length(self) -> Length:
        """Length of the run, as far as known."""
        return run_length(self.training, self.steps, self.state.fitting_epochs)

    def _at_end(self) -> bool:
        limit = self.training.time_limit
        return self.state.epoch >= self.length.epochs if limit is None else self.state.train_seconds >= limit

    def _leave_if_pruned(self) -> None:
        reason = self.folder.why_pruned() if self.engine.is_main else None
        if self.engine.any(reason is not None):
            raise PrunedError(reason or "a search gave it up")

    def _exhausted(self) -> bool:
        patience, best = self.training.patience, self.state.best_epoch
        return patience is not None and best is not None and self.state.epoch - 1 - best >= patience

    def _epoch(self) -> None:
        state = self.state
        self.method.train()
        terms: dict[str, Tensor] = {}
        clock = time.monotonic()
        left = None if self.training.steps is None else self.training.steps - state.step
        for clip in islice(self.train_loader.epoch(state.epoch, state.step_in_epoch), left):
            apply_rate(self.optimizer, rate := self._next_rate(clock))
            for name, value in (now := self._step(self.module, clip)).items():
                terms[name] = terms[name] + value.double() if name in terms else value.double()
            if self.average is not None:
                self.average.update()
            state.step += 1
            state.step_in_epoch += 1
            spent = self._is_spent(clock)
            last = spent or self.steps == state.step_in_epoch or self.training.steps == state.step
            due = last or state.step % CHECK_EVERY == 0
            if due or state.step == 1:  # the same steps after a resume
                self.curve.add(epoch=state.epoch, step=state.step, lr=rate.lr, terms=now)
            if due or self._is_worth_showing():
                self._check_and_show(terms, rate.lr)
            if spent:
                break
            if self.engine.any(self.stop.requested or time.monotonic() - self._saved_at > CHECKPOINT_SECONDS):
                clock = self._account(clock)
                self._flush(terms)
                self._save()
                self.stop.leave(self.engine.any)
        self._account(clock)
        self._flush(terms)
        self._validate()

    def _step(self, module: TrainingModule, clip: Tensor) -> dict[str, Tensor]:
        generator = step_generator(self.seed, self.state.step)
        progress = Progress(
            step=self.state.step,
            epoch=self.state.epoch,
            total_steps=self.length.steps,
            total_epochs=self.length.epochs,
            generator=generator,
            rank=self.engine.rank,
            world_size=self.engine.world_size,
        )
        return module.step(
            self.engine.to_device(clip),
            progress,
            accumulate=self.training.accumulate,
            clip_norm=self.training.clip_norm,
        )

    def _rate(self, step: int, epoch: int) -> Rate:
        length = run_length(self.training, self.steps, self.state.fitting_epochs if epoch else None)
        return rate_at_step(self.training, length, step, epoch)

    def _next_rate(self, since: float) -> Rate:
        """Return the rate of the next step; ``since`` is the start of the seconds not yet counted."""
        limit = self.training.time_limit
        if limit is None or not follows_clock(self.training):
            return self._rate(self.state.step, self.state.epoch)
        return rate_at_share(self.training, self._spent(since) / limit, self.length, self.state.epoch)

    def _spent(self, since: float) -> float:
        """Return the seconds of training so far; ``since`` is the start of those not yet counted."""
        return self._mean_over_processes(self.state.train_seconds + self.state.epoch_seconds + time.monotonic() - since)

    def _is_spent(self, since: float) -> bool:
        """Return whether a budget of time is spent; checked at every step, so that all methods get the same time."""
        limit = self.training.time_limit
        return limit is not None and self._spent(since) >= limit

    def _save_rates(self) -> None:
        known = self.training.time_limit is None or self.state.fitting_epochs is not None
        if (
            known
            and not follows_clock(self.training)
            and self.engine.is_main
            and self.length.steps <= MOST_RATES
            and not self.folder.file("learning_rate.npy").exists()
        ):
            steps = range(self.length.steps)
            rates = np.array([self._rate(step, step // self.steps).lr for step in steps])
            write_with(self.folder.file("learning_rate.npy"), lambda path: _save_array(path, rates))

    def _is_worth_showing(self) -> bool:
        """True at the first step of this process, and some seconds after the last one that was shown.

        Several processes must agree without a word, so only their first step is shown early.
        """
        if self._shown_at is None:
            return True
        return self.engine.world_size == 1 and time.monotonic() - self._shown_at > SHOW_SECONDS

    def _check_and_show(self, terms: Mapping[str, Tensor], lr: float) -> None:
        """Check and report the loss; done only every few steps, because it waits for the device."""
        done = self.state.step_in_epoch
        loss = (float(terms["loss"]) + self.state.sums.get("loss", 0.0)) / done
        if self.engine.any(not math.isfinite(loss)):
            raise DivergedError(f"the training loss is {loss} at epoch {self.state.epoch + 1}, step {done}")
        self._shown_at = time.monotonic()
        self.listener.on_step(epoch=self.state.epoch, step=done, steps=self.steps, loss=loss, lr=lr)

    def _flush(self, terms: dict[str, Tensor]) -> None:
        """Add the loss sums from the device to the state."""
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
        with self._selectable():
            score = validation_mse(self.method, self.val_loader, self.engine, incomplete=self.incomplete)
        if not math.isfinite(score):
            raise DivergedError(f"the validation MSE is {score} after epoch {state.epoch + 1}")
        seconds = self._mean_over_processes(state.epoch_seconds)
        means = self.engine.sum(torch.tensor([state.sums[k] for k in sorted(state.sums)], dtype=torch.float64))
        record = {
            "epoch": state.epoch,
            "step": state.step,
            "lr": self.optimizer.param_groups[0]["lr"],
            **{
                f"train_{name}": float(total) / (state.step_in_epoch * self.engine.world_size)
                for name, total in zip(sorted(state.sums), means, strict=True)
            },
            "val_mse_frame": score,
            "train_seconds": seconds,
            "val_seconds": time.monotonic() - started,
        }
        if self.macs_per_step is not None:
            record["macs"] = state.step * self.macs_per_step
        state.history.append(record)
        state.train_seconds += seconds
        self._fit_budget()
        if score < state.best_score:
            state.best_score, state.best_epoch = score, state.epoch
            if self.engine.is_main:
                with self._selectable():
                    save_weights(best_path(self.folder, state.best_epoch), self.method)
        state.epoch, state.step_in_epoch, state.sums, state.epoch_seconds = state.epoch + 1, 0, {}, 0.0
        self._save()
        self.listener.on_epoch(record)
        self.stop.leave(self.engine.any)

    def _selectable(self) -> AbstractContextManager[None]:
        """Set the weights to validate and select within a block: averaged ones under ``ema``."""
        return nullcontext() if self.average is None else self.average.applied()

    def _mean_over_processes(self, value: float) -> float:
        """Return the mean over processes, so that all of them stop together."""
        return float(self.engine.sum(torch.tensor(value, dtype=torch.float64))) / self.engine.world_size

    def _fit_budget(self) -> None:
        """After the first epoch, set the number of epochs that fit a budget of time, which the schedule then uses."""
        limit = self.training.time_limit
        if limit is not None and self.state.fitting_epochs is None:
            self.state.fitting_epochs = epochs_that_fit(limit, self.state.train_seconds)
            self._save_rates()

    def _save(self) -> None:
        self.state.rank_sums = self._sums_of_all()
        if self.engine.is_main:
            save_last(self.folder, self.state, self.method, self.optimizer, self.average, self.origin)
            self._write_records()
        self.engine.barrier()
        self._saved_at = time.monotonic()

    def _settle(self) -> None:
        """Bring the files beside the resume point in line with it: a kill may have fallen between their writes."""
        self.curve.begin(self.state.step)
        if self.engine.is_main:
            drop_other_weights(self.folder, self.state)
            self._write_records()

    def _write_records(self) -> None:
        if self.state.history or self.folder.file("history.jsonl").exists():
            self.folder.write_history(self.state.history)
        if self.state.convolutions:
            self.folder.add_to_environment(convolutions=self.state.convolutions)

    def _sums_of_all(self) -> list[dict[str, float]]:
        """The loss sums of every process, where there are several."""
        processes, names = self.engine.world_size, sorted(self.state.sums)
        if processes == 1:
            return []
        table = torch.zeros(processes, len(names), dtype=torch.float64)
        table[self.engine.rank] = torch.tensor([self.state.sums[name] for name in names], dtype=torch.float64)
        return [dict(zip(names, row, strict=True)) for row in self.engine.sum(table).tolist()]


def _save_array(path: Any, values: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    with path.open("wb") as handle:
        np.save(handle, values)
