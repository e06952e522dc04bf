"""``--executor local``: the runs one after the other, in this process (or group of data-parallel processes)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stbench.schema import RunSpec
from stbench.sweep.execute import Workplace
from stbench.sweep.executors import Ended
from stbench.sweep.sweep import Datasets, do_run
from stbench.train.interrupt import stop_on_signals


class Local:
    """Does runs in order; Ctrl-C ends the step, saves and leaves."""

    def submit(self, specs: Sequence[RunSpec], workplace: Workplace) -> Iterator[Ended]:
        """Do every run that is not done yet; a failed one does not stop the others."""
        datasets = Datasets(workplace.data_dirs, workplace.listener.data_opened)
        with stop_on_signals() as stop:
            for number, spec in enumerate(specs, 1):
                yield do_run(spec, workplace, datasets, stop, number=number, runs=len(specs))
                stop.leave(workplace.engine.any)
