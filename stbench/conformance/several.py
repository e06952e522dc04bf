"""The suite on several registered methods at once, one process per core."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import torch

from stbench.conformance.subject import SHAPES, Subject
from stbench.conformance.suite import Verdict, check_method
from stbench.schema import ClipShape
from stbench.train.fork_server import hear_interrupts, start_fork_server


def check_methods(
    names: Sequence[str], *, shapes: Sequence[ClipShape] = SHAPES, settings: Mapping[str, Any] | None = None
) -> Iterator[Verdict]:
    """Run the suite on registered methods, by name, and yield the verdicts in their order.

    As many processes as cores, each of one thread: the checks compute on small clips. A script that calls this needs
    ``if __name__ == "__main__":``.

    Raises:
        UserError: a name or a variant is unknown.
    """
    for name in names:  # an unknown one ends it before anything is computed
        Subject.of(name, shapes, settings)
    jobs = min(len(names), len(os.sched_getaffinity(0)))
    check = partial(check_method, shapes=shapes, settings=settings)
    if jobs < 2:
        yield from map(check, names)
        return
    context = start_fork_server("stbench.conformance.suite")
    with ProcessPoolExecutor(jobs, context, initializer=_begin) as pool:
        try:
            yield from pool.map(check, names)
        finally:
            pool.shutdown(cancel_futures=True)


def _begin() -> None:
    torch.set_num_threads(1)
    hear_interrupts()  # a check may take seconds
