"""Matrices of Toom–Cook (Winograd) convolution F(m, r): m outputs of an r-tap filter from m+r−1 products.

Source: Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)
"""Evaluation points of the polynomials; F(m, r) uses the first m+r−2 and infinity."""


class Transforms(NamedTuple):
    """y = output · ((weight · g) ⊙ (input · d)) for a filter g of r taps and n = m+r−1 inputs d, in float64.

    ``output`` is (m, n), ``weight`` (n, r), ``input`` (n, n).
    """

    output: Tensor
    weight: Tensor
    input: Tensor


@cache
def transforms(m: int, r: int) -> Transforms:
    """Return the matrices of F(m, r) by evaluation at m+r−2 points and infinity.

    The product of polynomials is V⁻¹((V_r g) ⊙ (V_m y)), V the Vandermonde matrix; its transpose is the correlation
    that a convolution layer computes. Each row of ``input`` is scaled to the coefficients of ∏(x − a_j), and that of
    ``weight`` by the inverse.

    >>> transforms(2, 3).input.int().tolist()
    [[-1, 0, 1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]]

    Raises:
        ValueError: it needs more points than :data:`POINTS` has.
    """
    n = m + r - 1
    if n - 1 > len(POINTS):
        raise ValueError(f"F({m}, {r}) needs {n - 1} points; {len(POINTS)} are known.")
    points = torch.tensor(POINTS[: n - 1], dtype=torch.float64)
    differences = points[:, None] - points + torch.eye(n - 1, dtype=torch.float64)
    scales = torch.cat([differences.prod(1), torch.ones(1, dtype=torch.float64)])
    flipped = torch.linalg.inv(_vandermonde(points, n)).T
    return Transforms(_vandermonde(points, m).T, _vandermonde(points, r) / scales[:, None], flipped * scales[:, None])


def _vandermonde(points: Tensor, columns: int) -> Tensor:
    """Return rows 1, a, a², … for each point a; the row of infinity has only the highest power."""
    powers = points[:, None] ** torch.arange(columns, dtype=torch.float64)
    infinity = torch.zeros(1, columns, dtype=torch.float64)
    infinity[0, -1] = 1.0
    return torch.cat([powers, infinity])
