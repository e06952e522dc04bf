"""``rollout:horizon=40``: predictions beyond the trained horizon, fed back in blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from stbench.errors import UserError
from stbench.evaluate.scenarios.scenario import LONGEST, Case, Finished, Scenario, with_test
from stbench.evaluate.scenarios.views import lengthened
from stbench.nn import Method, Times


class Rollout(Scenario):
    """Longer horizons: the method reads its last T_in frames again, block by block; surplus frames are cut."""

    kind: Literal["rollout"] = "rollout"
    example: ClassVar[str] = "rollout:horizon=40"
    horizon: int = Field(ge=1, le=LONGEST)

    def cases(self, run: Finished) -> Sequence[Case]:
        """Return one case, over the test clips that are long enough.

        Raises:
            UserError: the horizon is shorter than the trained one, or no clip is long enough.
        """
        shape = run.spec.shape
        if self.horizon < shape.t_out:
            raise UserError(
                f"rollout:horizon={self.horizon}: the trained horizon is {shape.t_out}. Give at least that."
            )
        data = with_test(run.dataset, lengthened(run, shape.t_in + self.horizon))
        horizon = self.horizon
        return [Case(f"{horizon} frames", None, data, horizon, lambda method: Rolled(method, horizon))]


class Rolled(Method):
    """A method that reads its predictions again until it has ``horizon`` frames."""

    def __init__(self, method: Method, horizon: int) -> None:
        super().__init__(method.shape.model_copy(update={"t_out": horizon}), method.config)
        self.method = method

    def predict_at(self, past: Tensor, times: Times | None) -> Tensor:
        """Predict in blocks: (B, T_in, C, H, W) -> (B, horizon, C, H, W)."""
        t_in, t_out = self.method.shape.t_in, self.method.shape.t_out
        blocks: list[Tensor] = []
        window, dates = past, None if times is None else _long_enough(times, self.shape.length + t_out)
        for start in range(0, self.shape.t_out, t_out):
            own = None if dates is None else dates[:, start : start + t_in + t_out]
            blocks.append(self.method.predict_at(window, own).float())
            window = torch.cat([window, blocks[-1]], dim=1)[:, -t_in:]
        return torch.cat(blocks, dim=1)[:, : self.shape.t_out]


def _long_enough(times_BT: Times, length: int) -> Times:
    """Continue times at their last step, because the last block may predict more frames than are scored."""
    step = times_BT[:, -1:] - times_BT[:, -2:-1]
    missing = max(0, length - times_BT.shape[1])
    further = times_BT[:, -1:] + step * torch.arange(1, missing + 1, device=times_BT.device)
    return torch.cat([times_BT, further], dim=1)
