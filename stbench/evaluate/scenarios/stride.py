"""``stride:every=1,2,3``: inputs and targets at a coarser time step than the trained one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from stbench.evaluate.scenarios.scenario import LONGEST, Case, Finished, Scenario, with_test
from stbench.evaluate.scenarios.views import View, lengthened


class Stride(Scenario):
    """Coarser time steps: every s-th frame, from the same first frames for all s; 1 is the trained step."""

    kind: Literal["stride"] = "stride"
    axis: ClassVar[str] = "time step (trained: 1)"
    example: ClassVar[str] = "stride:every=1,2,3"
    every: Annotated[tuple[Annotated[int, Field(ge=1, le=LONGEST)], ...], Field(min_length=1)]

    def cases(self, run: Finished) -> Sequence[Case]:
        """Return a case for each step, step 1 first, over the clips that are long enough for the largest.

        Raises:
            UserError: no clip is long enough.
        """
        steps = sorted({1, *self.every})
        length = run.spec.shape.length
        longer = lengthened(run, steps[-1] * (length - 1) + 1)
        return [
            Case(f"×{step}", float(step), with_test(run.dataset, _thinned(longer, step, length)), run.spec.shape.t_out)
            for step in steps
        ]


def _thinned(longer: View, step: int, length: int) -> View:
    return View(longer.base, longer.chosen, np.arange(length, dtype=np.int64) * step)
