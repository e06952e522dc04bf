"""What another process needs to build a sweep's workplace; it can be pickled, and unpickled without torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stbench.events import SweepListener

if TYPE_CHECKING:
    from stbench.sweep.execute import Workplace
    from stbench.train.engine import DeviceName


@dataclass(frozen=True)
class Place:
    """Where runs go, for a process that has not opened its devices yet.

    Attributes:
        root: of the run folders, absolute.
        data_dirs: of the data files, absolute.
        device: of the engine.
        precision: of the engine.
        threads: of torch.
        gpu: the only one that the process sees; None leaves all.
        workers: loader processes.
        retry_failed: whether failed runs are repeated.
        names: loggers and executor, for the record.
        test: whether runs are scored on the test split.
    """

    root: Path
    data_dirs: tuple[Path, ...]
    device: DeviceName
    precision: str
    threads: int
    gpu: str | None
    workers: int
    retry_failed: bool
    names: tuple[tuple[str, ...], str]
    test: bool = True

    @classmethod
    def of(cls, workplace: Workplace, device: DeviceName, threads: int, gpu: str | None = None) -> Place:
        """The place of a workplace, on another device and with other threads."""
        return cls(
            root=workplace.root.absolute(),
            data_dirs=tuple(folder.absolute() for folder in workplace.data_dirs),
            device=device,
            precision=workplace.engine.precision,
            threads=threads,
            gpu=gpu,
            workers=workplace.workers,
            retry_failed=workplace.retry_failed,
            names=(workplace.loggers, workplace.executor),
            test=workplace.test,
        )

    def build(self, listener: SweepListener) -> Workplace:
        """The workplace, in the process that calls this."""
        import torch

        from stbench.sweep.execute import Workplace
        from stbench.train.engine import Engine

        if self.gpu is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.gpu
        torch.set_num_threads(self.threads)
        engine = Engine(self.device, self.precision, alone=True)
        return Workplace(
            self.root, self.data_dirs, engine, self.workers, self.retry_failed, listener, *self.names, self.test
        )
