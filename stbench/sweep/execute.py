"""One run: build, train, score, record. A failure is recorded as a result."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from stbench.data import ClipLoader, Splits, open_dataset
from stbench.data.loader import evenly_spaced
from stbench.efficiency.macs import TRAINING_FACTOR, macs_of
from stbench.errors import MachineError, UserError, first_line, is_machine_fault, is_out_of_memory
from stbench.evaluate.overlap import overlap
from stbench.evaluate.score import NotFiniteError, Scorer, Scores, parameter_count
from stbench.events import RunListener, SweepListener
from stbench.nn import METHODS, Method
from stbench.nn.missing import why_not_missing
from stbench.schema import Failure, RunResult, RunSpec
from stbench.schema.folder import RunFolder, write_text
from stbench.sweep.environment import describe_environment, source_hash
from stbench.sweep.executors import DEFAULT_EXECUTOR
from stbench.train.checkpoint import Origin, TrainState, best_path, load_weights, save_weights
from stbench.train.engine import Engine
from stbench.train.interrupt import StopRequest
from stbench.train.loop import DivergedError, PrunedError, Trainer
from stbench.train.seeding import derive

LATE_SECONDS = 10.0
"""How long a file of another node may take to be seen on a network file system."""


class UnsupportedError(RuntimeError):
    """A method cannot be trained on these data; the message is the reason."""


@dataclass(frozen=True)
class Workplace:
    """What all runs of a sweep share.

    Attributes:
        root: folder of the run folders.
        data_dirs: folders of the data files, in order.
        engine: devices and precision.
        workers: loader processes of each run.
        retry_failed: whether failed runs are repeated.
        listener: receives events.
        loggers: names of the loggers among the listeners, for the record.
        executor: name of the executor, for the record.
        test: whether runs are scored on the test split; else they are trained and validated, and have no result.
    """

    root: Path
    data_dirs: tuple[Path, ...]
    engine: Engine
    workers: int = 0
    retry_failed: bool = False
    listener: SweepListener = field(default_factory=SweepListener)
    loggers: tuple[str, ...] = ()
    executor: str = DEFAULT_EXECUTOR
    test: bool = True

    def folder(self, spec: RunSpec) -> RunFolder:
        """Return the folder of a run."""
        return RunFolder(self.root / spec.folder)


def splits_of(spec: RunSpec, data_dirs: tuple[Path, ...]) -> Splits:
    """Open the dataset of a run, with the splits for its selection rule."""
    return open_dataset(spec.benchmark, spec.dataset, spec.shape, data_dirs, spec.selection == "validation")


def execute(
    spec: RunSpec, dataset: Splits, workplace: Workplace, listener: RunListener, stop: StopRequest
) -> RunResult | None:
    """Do or resume a run and record its result; None if it was trained only.

    Raises:
        UserError: the folder cannot be written or resumed from.
        MachineError: the machine failed, not the run, which can be resumed.
        KeyboardInterrupt: a stop was asked for; the run can be resumed.
        PrunedError: a search gave the run up.
    """
    folder = workplace.folder(spec)
    if workplace.engine.is_main:
        folder.create(spec)
        helpers = {"logger": workplace.loggers, "executor": (workplace.executor,)}
        environment = describe_environment(workplace.engine.device, spec, helpers)
        size = {"world_size": workplace.engine.world_size, "nodes": workplace.engine.nodes}
        folder.write_environment({**environment, **size})
    workplace.engine.barrier()
    _check_shared(folder, workplace.engine)
    run = Run(spec, dataset, workplace, folder)
    try:
        if not workplace.test:
            run.train(run.build(), listener, stop)
            return None
        result = run.finish(listener, stop)
    except (UserError, PrunedError):
        raise
    except Exception as error:
        if is_machine_fault(error):
            raise MachineError(first_line(error)) from error
        result = run.failed(error)
        if not (isinstance(error, DivergedError) or workplace.engine.all_meet()):
            raise MachineError(f"One of the data-parallel processes failed ({first_line(error)})") from error
    if workplace.engine.is_main:
        folder.write_result(result)
    return result


def _check_shared(folder: RunFolder, engine: Engine) -> None:
    """Check that all nodes see the run folder that the first process has made.

    Raises:
        UserError: one does not.
    """
    end = time.monotonic() + LATE_SECONDS
    while not (seen := folder.file("spec.yaml").is_file()) and engine.nodes > 1 and time.monotonic() < end:
        time.sleep(0.2)
    if engine.any(not seen):
        raise UserError(
            f"Not all nodes see {folder.path.absolute()}. Choose an output folder that has one path on all of them: "
            "--out /shared/results"
        )


class Run:
    """The steps of one run.

    Args:
        folder: folder of the run's files.
    """

    def __init__(self, spec: RunSpec, dataset: Splits, workplace: Workplace, folder: RunFolder) -> None:
        self.spec = spec
        self.dataset = dataset
        self.workplace = workplace
        self.engine = workplace.engine
        self.folder = folder

    def finish(self, listener: RunListener, stop: StopRequest) -> RunResult:
        """Train, score and return the result; exceptions are not caught."""
        method = self.build()
        state = self.train(method, listener, stop)
        listener.on_evaluate()
        scorer = self.scorer()
        last = scorer.score(method) if state is not None and self.spec.selection == "test" else None
        if state is not None:
            load_weights(best_path(self.folder, state.best_epoch), method)
        scores = scorer.score(method, self.folder)
        return self.result(method, state, scores, last)

    def build(self) -> Method:
        """Build the method on the device, with weights drawn from the run's seed."""
        torch.manual_seed(derive(self.spec.seed, "weights"))
        return self.engine.place(
            METHODS.get(self.spec.plugin).create(self.spec.shape, self.spec.config, self.spec.method)
        )

    def scorer(self) -> Scorer:
        """Scorer of the test split."""
        return Scorer(
            self.dataset,
            self._loader("test"),
            self.spec.evaluation,
            self.spec.data_range,
            self.engine,
            clip_truth=self.spec.selection == "test",  # the published habit, which legacy repeats
        )

    def failed(self, error: Exception) -> RunResult:
        """Return the result of a run that ended with an exception."""
        if self.engine.is_main:
            write_text(self.folder.file("error.txt"), "".join(traceback.format_exception(error)))
        return RunResult(**self._identity(), status="failed", failure=describe_failure(error))

    def train(self, method: Method, listener: RunListener, stop: StopRequest) -> TrainState | None:
        """Train or fit a method; return the state of one that is trained."""
        reason = why_not_missing(type(method)) if self.dataset.incomplete else None
        if reason is not None:
            raise UnsupportedError(reason)
        if self.spec.training is None:
            method.fit_at(self._training_clips())
            if self.engine.is_main:  # every process has fitted the same
                save_weights(best_path(self.folder, None), method)
            return None
        macs = macs_of(self.spec)
        trainer = Trainer(
            method,
            self.spec.training,
            (self._loader("train"), self._loader("val")),
            self.folder,
            seed=self.spec.seed,
            engine=self.engine,
            listener=listener,
            stop=stop,
            origin=Origin(
                data=self.dataset.fingerprint,
                source=source_hash(METHODS.get(self.spec.plugin)),
                batch_size=self.spec.training.batch_size,
                world_size=self.engine.world_size,
            ),
            incomplete=self.dataset.incomplete,
            macs_per_step=None if macs is None else TRAINING_FACTOR * macs * self.spec.training.batch_size,
        )
        return trainer.run()

    def _training_clips(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Yield unaugmented training clips and their times on the device; all of them on every process."""
        to_device = self.engine.to_device
        batch_size = self.spec.evaluation.batch_size
        loader = ClipLoader(self.dataset.train.unaugmented(), batch_size, shuffle=False, workers=self.workplace.workers)
        for _, clip, times in loader.dated_epoch(0):
            yield to_device(clip), None if times is None else to_device(times)

    def _loader(self, split: str) -> ClipLoader:
        """Return a loader of this process's share of a split's batches."""
        training, evaluation = self.spec.training, self.spec.evaluation
        sizes = {
            "val": (evaluation.batch_size, evaluation.val_clips),
            "test": (evaluation.batch_size, evaluation.test_clips),
        }
        if training is not None:
            sizes["train"] = training.batch_size, training.train_clips
        batch_size, limit = sizes[split]
        is_train = split == "train"
        return ClipLoader(
            getattr(self.dataset, split),
            batch_size,
            shuffle=is_train,
            seed=derive(self.spec.seed, "order"),
            limit=limit,
            drop_last=is_train,
            rank=self.engine.rank,
            world_size=self.engine.world_size,
            parts=training.accumulate if training is not None and is_train else 1,
            workers=self.workplace.workers,
            pin_memory=self.engine.device.type == "cuda",
        )

    def _identity(self) -> dict[str, object]:
        spec = self.spec
        return {
            "run_id": spec.run_id,
            "method": spec.method,
            "benchmark": spec.benchmark,
            "protocol": spec.protocol,
            "seed": spec.seed,
            "data_report": self.dataset.report,
            "data_fingerprint": self.dataset.fingerprint,
            "method_source": source_hash(METHODS.get(spec.plugin)),
            "scaling": self.dataset.scaling,
            "world_size": self.engine.world_size,
        }

    def result(self, method: Method, state: TrainState | None, scores: Scores, last: Scores | None = None) -> RunResult:
        """Return the result of a finished run; ``last``: scores of the last epoch, if test selected the best."""
        trained = {}
        if state is not None:
            trained = {
                "best_epoch": state.best_epoch,
                "epochs_run": state.epoch,
                "validation_mse_frame": state.best_score,
                "seconds_per_epoch": state.train_seconds / state.step * self._loader("train").steps_per_epoch,
                "train_seconds": state.train_seconds,
            }
        optimism, test = {}, self.dataset.test
        if last is not None:
            optimism = {name: score.total - last.metrics[name].total for name, score in scores.metrics.items()}
        return RunResult(
            **self._identity(),
            **trained,
            status="finished",
            test=scores.metrics,
            test_clips=scores.clips,
            test_overlap=overlap(test, evenly_spaced(len(test), self.spec.evaluation.test_clips)),
            unavailable=scores.unavailable,
            clipped_truth=scores.outside,
            missing_truth=scores.missing,
            padded_to=None if method.net_shape == method.shape else (method.net_shape.height, method.net_shape.width),
            parameters=parameter_count(method),
            macs=macs_of(self.spec),
            evaluate_seconds=scores.seconds,
            skimage_difference=scores.skimage_difference,
            optimism=optimism,
            finished_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        )


def describe_failure(error: Exception) -> Failure:
    """Describe an exception in words for a table."""
    text = f"{type(error).__name__}: {first_line(error)}"
    if isinstance(error, DivergedError | NotFiniteError):
        return Failure(kind="diverged", reason=str(error))
    if isinstance(error, UnsupportedError):
        return Failure(kind="unsupported", reason=str(error))
    if is_out_of_memory(error):
        return Failure(kind="out_of_memory", reason=text)
    return Failure(kind="crashed", reason=text)
