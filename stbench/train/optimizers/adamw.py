"""AdamW: Adam with decoupled weight decay (Loshchilov & Hutter, ICLR 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat

from stbench.schema.optimizer import Optimizer, Parameters

if TYPE_CHECKING:
    import torch

Share = Annotated[float, Field(ge=0, lt=1)]


class AdamW(Optimizer):
    """torch.optim.AdamW: each step first scales the decayed weights by 1 − lr·``weight_decay``.

    Biases, normalisations and parameters with fewer than two axes are not decayed
    (:meth:`stbench.schema.optimizer.Parameters.split_by_decay`); with ``decay_all`` all parameters are.
    """

    kind: Literal["adamw"] = "adamw"
    betas: tuple[Share, Share] = (0.9, 0.999)
    eps: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.01
    decay_all: bool = False

    def build(self, parameters: Parameters, lr: float) -> torch.optim.Optimizer:
        """Build AdamW, fused into one kernel, with one group of decayed parameters and one of the others."""
        import torch

        decayed, spared = (list(parameters), []) if self.decay_all else parameters.split_by_decay()
        groups = [{"params": decayed, "weight_decay": self.weight_decay}, {"params": spared, "weight_decay": 0.0}]
        filled = [group for group in groups if group["params"]]
        return torch.optim.AdamW(filled, lr=lr, betas=self.betas, eps=self.eps, fused=True)
