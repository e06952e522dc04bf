"""``--executor local``: runs in sequence in this process, or group of data-parallel processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stbench.errors import UserError
from stbench.schema import RunSpec
from stbench.sweep.execute import Workplace
from stbench.sweep.executors import Ended
from stbench.sweep.sweep import Datasets, do_run, without_data
from stbench.train.interrupt import stop_on_signals


class Local:
    """Do runs in order; Ctrl-C finishes the step, saves and stops."""

    _datasets: Datasets | None = None
    """Kept for further runs of the same command: a search submits again and again."""

    def submit(self, specs: Sequence[RunSpec], workplace: Workplace) -> Iterator[Ended]:
        """Do all runs that are not done; a failed run does not stop the others."""
        datasets = self._datasets = self._datasets or Datasets(workplace.data_dirs, workplace.listener.data_opened)
        with stop_on_signals() as stop:
            for number, spec in enumerate(specs, 1):
                try:
                    yield do_run(spec, workplace, datasets, stop, number=number, runs=len(specs))
                except UserError as error:
                    if workplace.engine.world_size > 1:  # the others may have read theirs
                        raise
                    yield without_data(spec, specs, error)
                stop.leave(workplace.engine.any)
