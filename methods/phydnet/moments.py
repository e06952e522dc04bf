"""Moment matrices that constrain PhyCell's kernels to partial derivatives (Long et al., "PDE-Net 2.0", 2019)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def moment_basis(size: int) -> Tensor:
    """Return M with M[i, j] = (j − (size−1)/2)^i / i!, float64 (size, size).

    >>> moment_basis(3)[1].tolist()
    [-1.0, 0.0, 1.0]
    """
    offsets = torch.arange(size, dtype=torch.float64) - (size - 1) // 2
    return torch.stack([offsets.pow(i) / math.factorial(i) for i in range(size)])


def kernels_to_moments(kernels: Tensor, basis: Tensor) -> Tensor:
    """Return the moment matrices M·k·Mᵀ of kernels (..., size, size), in the precision of ``basis``."""
    return basis @ kernels.to(basis.dtype) @ basis.T


def moment_targets(size: int) -> Tensor:
    """Return the targets (size², size, size): number q has a single 1 at (q // size, q % size)."""
    return torch.eye(size * size).reshape(-1, size, size)


def moment_loss(weight: Tensor, basis: Tensor) -> Tensor:
    """Return the sum over input channels of MSE(moments of the channel's size² kernels, targets).

    Args:
        weight: (size², C_in, size, size), the weight of PhyCell's first conv.
        basis: :func:`moment_basis`.
    """
    moments = kernels_to_moments(weight.transpose(0, 1), basis).to(weight.dtype)
    targets = moment_targets(weight.shape[-1]).to(moments)
    return F.mse_loss(moments, targets.expand_as(moments)) * weight.shape[1]
