"""Means and covariances of features as sums of constant size, and the Fréchet distance of two sets. Axes: N, D."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from stbench.errors import UserError


class Moments:
    """Counts, sums and products of the features of predicted (row 0) and true (row 1) samples, in float64.

    >>> moments = Moments(2)
    >>> moments.update(torch.tensor([[0.0, 0.0], [2.0, 0.0], [1.0, 3.0]]), torch.tensor([[0.0, 0], [2, 0], [1, 3]]))
    >>> moments.count, moments.distance()
    (3, 0.0)

    Args:
        width: number of features, D.
        device: device of the sums.
    """

    def __init__(self, width: int, device: torch.device | str = "cpu") -> None:
        self._width = width
        self._state = torch.zeros(2, 1 + width + width**2, dtype=torch.float64, device=device)

    def update(self, pred_ND: Tensor, true_ND: Tensor) -> None:
        """Add samples of both sets, (N, D) each."""
        for row, features in enumerate((pred_ND, true_ND)):
            x = features.to(self._state)
            parts = (x.new_full((1,), len(x)), x.sum(0), (x.mT @ x).flatten())
            self._state[row] += torch.cat(parts)

    def state(self) -> Tensor:
        """Return the sums, (2, 1+D+D²); adding states adds what they have seen."""
        return self._state

    def load(self, state: Tensor) -> Self:
        """Replace the sums, for example with those over processes."""
        self._state = state.to(self._state)
        return self

    @property
    def count(self) -> int:
        """Number of samples of each set."""
        return int(self._state[0, 0])

    def distance(self) -> float:
        """Return the Fréchet distance of the two sets.

        Raises:
            UserError: there are no more samples than features, so that a covariance would be singular.
        """
        if self.count <= self._width:
            least = f"the covariance of {self._width} features needs more than {self._width} samples"
            raise UserError(f"{least}, there are {self.count}")
        pred, true = (self._mean_and_covariance(row) for row in self._state.cpu())
        return frechet_distance(*pred, *true)

    def _mean_and_covariance(self, sums: Tensor) -> tuple[Tensor, Tensor]:
        count, mean = sums[0], sums[1 : 1 + self._width] / sums[0]
        products = sums[1 + self._width :].view(self._width, self._width)
        return mean, (products - count * mean[:, None] * mean) / (count - 1)


def frechet_distance(mean_D: Tensor, covariance_DD: Tensor, other_mean_D: Tensor, other_covariance_DD: Tensor) -> float:
    """Return ‖μ1−μ2‖² + tr(Σ1+Σ2−2(Σ1Σ2)^½), at least 0.

    The trace of the root is the sum of the roots of the eigenvalues of Σ1^½ Σ2 Σ1^½, which is symmetric.
    """
    values, vectors = torch.linalg.eigh(covariance_DD.double())
    root = vectors * values.clamp(min=0).sqrt() @ vectors.mT
    between = torch.linalg.eigvalsh(root @ other_covariance_DD.double() @ root).clamp(min=0).sqrt().sum()
    apart = (mean_D.double() - other_mean_D.double()).square().sum()
    found = apart + covariance_DD.double().trace() + other_covariance_DD.double().trace() - 2 * between
    return max(0.0, float(found))
