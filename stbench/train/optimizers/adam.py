"""Adam (Kingma & Ba, ICLR 2015)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat

from stbench.schema.optimizer import Optimizer, Parameters

if TYPE_CHECKING:
    import torch

Share = Annotated[float, Field(ge=0, lt=1)]


class Adam(Optimizer):
    """torch.optim.Adam; a ``weight_decay`` above 0 adds an L2 term to every gradient."""

    kind: Literal["adam"] = "adam"
    betas: tuple[Share, Share] = (0.9, 0.999)
    eps: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.0

    def build(self, parameters: Parameters, lr: float) -> torch.optim.Optimizer:
        """Build Adam over all parameters, fused into one kernel."""
        import torch

        return torch.optim.Adam(
            parameters, lr=lr, betas=self.betas, eps=self.eps, weight_decay=self.weight_decay, fused=True
        )
