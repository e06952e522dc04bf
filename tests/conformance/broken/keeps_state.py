"""The next batch starts from the hidden state of the last one."""

from __future__ import annotations

from torch import Tensor

from tests.conformance.broken.tiny import Tiny

CAUGHT_BY = "no_carried_state"
ALSO = {"batch_independence", "losses", "missing_cells", "state_dict_round_trip", "target_not_seen"}


class KeepsState(Tiny):
    state = 0.0

    def forward(self, past: Tensor) -> Tensor:
        future = super().forward(past) + 0.1 * self.state
        self.state = float(past.detach().mean() * future.detach()[0].std())
        return future
