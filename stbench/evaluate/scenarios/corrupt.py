"""``corrupt:missing_frames=0.1,0.2``: damaged inputs, untouched targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from stbench.data import Indices
from stbench.evaluate.scenarios.scenario import Case, Finished, Scenario, with_test
from stbench.evaluate.scenarios.views import View

Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Width = Annotated[float, Field(ge=0, le=1000)]
Damage = Callable[[Tensor, float, np.random.Generator], Tensor]


def _missing_frames(past_TCHW: Tensor, share: float, rng: np.random.Generator) -> Tensor:
    lost = torch.from_numpy(rng.random(len(past_TCHW)) < share)
    return past_TCHW.where(~lost[:, None, None, None], 0)


def _repeated_frames(past_TCHW: Tensor, share: float, rng: np.random.Generator) -> Tensor:
    lost = rng.random(len(past_TCHW)) < share
    lost[0] = False  # nothing is before it
    last_good = np.maximum.accumulate(np.where(lost, 0, np.arange(len(past_TCHW))))
    return past_TCHW[torch.from_numpy(last_good)]


def _gauss(past_TCHW: Tensor, sigma: float, rng: np.random.Generator) -> Tensor:
    return past_TCHW + sigma * torch.from_numpy(rng.standard_normal(past_TCHW.shape, dtype=np.float32))


def _occlusion(past_TCHW: Tensor, share: float, rng: np.random.Generator) -> Tensor:
    height, width = past_TCHW.shape[-2:]
    side = round(share * min(height, width))
    top, left = (int(rng.random() * (size - side + 1)) for size in (height, width))
    changed = past_TCHW.clone()
    changed[..., top : top + side, left : left + side] = 0
    return changed


def _blur(past_TCHW: Tensor, sigma: float, _rng: np.random.Generator) -> Tensor:
    from scipy.ndimage import gaussian_filter

    return torch.from_numpy(gaussian_filter(past_TCHW.numpy(), (0, 0, sigma, sigma), mode="nearest"))


DAMAGES: dict[str, Damage] = {
    "missing_frames": _missing_frames,
    "repeated_frames": _repeated_frames,
    "gauss": _gauss,
    "occlusion": _occlusion,
    "blur": _blur,
}


class Corrupt(Scenario):
    """Corrupted inputs with clean targets, the same draws for every method and severity; severity 0 is the clean clip.

    ``missing_frames`` and ``repeated_frames``: share of past frames lost, shown as 0 or as the frame before;
    ``gauss``: σ of noise in model space; ``occlusion``: side of a square of 0, in shares of the shorter side;
    ``blur``: σ in cells.
    """

    kind: Literal["corrupt"] = "corrupt"
    axis: ClassVar[str] = "severity"
    example: ClassVar[str] = "corrupt:missing_frames=0.1,0.2"
    missing_frames: tuple[Share, ...] | None = None
    repeated_frames: tuple[Share, ...] | None = None
    gauss: tuple[Amount, ...] | None = None
    occlusion: tuple[Share, ...] | None = None
    blur: tuple[Width, ...] | None = None
    seed: int = Field(default=0, ge=0, lt=1 << 63)

    @model_validator(mode="after")
    def _one_damage(self) -> Corrupt:
        given = [name for name in DAMAGES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of {', '.join(DAMAGES)}, as corrupt:missing_frames=0.1,0.2")
        return self

    def cases(self, run: Finished) -> Sequence[Case]:
        """Return a case for each severity, the clean clips first."""
        damage = next(name for name in DAMAGES if getattr(self, name) is not None)
        found = []
        for severity in sorted({0.0, *getattr(self, damage)}):
            label = "clean" if severity == 0 else f"{damage} {severity:g}"
            change = None if severity == 0 else self._change(damage, severity, run.spec.shape.t_in)
            test = View(run.dataset.test, run.scored, change=change)
            found.append(Case(label, severity, with_test(run.dataset, test), run.spec.shape.t_out))
        return found

    def _change(self, damage: str, severity: float, t_in: int) -> Any:
        def change(clips_BTCHW: Tensor, numbers: Indices) -> Tensor:
            damaged = clips_BTCHW.clone()
            for row, number in enumerate(numbers.tolist()):
                rng = np.random.default_rng((self.seed, number))
                damaged[row, :t_in] = DAMAGES[damage](clips_BTCHW[row, :t_in], severity, rng)
            return damaged

        return change
