"""N processes that compute as one: batch statistics of the whole global batch, and draws for its samples.

A process holds a share of the rows of every global batch. Without this, BatchNorm would see the share alone, and
dropout would draw other masks. :func:`act_as_one` replaces the layers; losses and gradients then equal those of one
process up to rounding. Axes: B rows of this process, then any.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from stbench.nn.drop_path import DropPath


class _Sum(torch.autograd.Function):
    """Sum over processes; its gradient is the sum of theirs, as every process's loss depends on it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ARG004 - autograd's signature
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ARG004 - autograd's signature
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        return total


class GlobalBatchNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm over the rows of all processes, on any device (torch's SyncBatchNorm knows CUDA only)."""

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of axes behind B and C."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, …), same shape."""
        if not self.training:
            return super().forward(input)
        axes = [0, *range(2, input.ndim)]
        shape = [1, -1, *[1] * (input.ndim - 2)]
        x = input.float()
        count = x.numel() // x.shape[1] * dist.get_world_size()
        mean = _total(x.sum(axes)) / count
        centred = x - mean.view(shape)
        variance = _total(centred.square().sum(axes)) / count
        self._remember(mean.detach(), variance.detach(), count)
        out = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            out = out * self.weight.view(shape) + self.bias.view(shape)
        return out.to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running statistics, as torch does: with the unbiased variance."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean), share)
        self.running_var.lerp_((variance * (count / max(count - 1, 1))).to(self.running_var), share)


class GlobalDropout(nn.Dropout):
    """Dropout whose mask is drawn for the global batch; every process draws the same and keeps its rows."""

    def forward(self, input: Tensor) -> Tensor:
        """Same shape."""
        if not self.training or self.p == 0:
            return input
        return input * _own_rows(F.dropout(_ones_of_all(input), self.p, training=True), len(input))


class GlobalDropPath(DropPath):
    """Stochastic depth drawn for the global batch."""

    def _draw(self, x: Tensor) -> Tensor:
        rows = len(x) * dist.get_world_size()
        return _own_rows(torch.rand(rows, *[1] * (x.ndim - 1), device=x.device), len(x))


def act_as_one(method: nn.Module) -> None:
    """Replace layers that mix or draw over the batch, in place; parameters, buffers and their names stay."""
    for module in list(method.modules()):
        for name, child in list(module.named_children()):
            made = _global(child)
            if made is not None:
                setattr(module, name, made)


def _global(layer: nn.Module) -> nn.Module | None:
    """The layer that acts over all processes, sharing everything with the given one; None where it does already."""
    kinds: dict[type[nn.Module], type[nn.Module]] = {
        nn.BatchNorm1d: GlobalBatchNorm,
        nn.BatchNorm2d: GlobalBatchNorm,
        nn.BatchNorm3d: GlobalBatchNorm,
        nn.Dropout: GlobalDropout,
        DropPath: GlobalDropPath,
    }
    kind = kinds.get(type(layer))
    if kind is None:
        return None
    made = kind.__new__(kind)
    made.__dict__ = layer.__dict__
    return made


def _total(x: Tensor) -> Tensor:
    return cast("Tensor", _Sum.apply(x))


def _ones_of_all(x: Tensor) -> Tensor:
    """Ones of the global batch's shape, in the memory layout of ``x``: masks are drawn in the order of memory."""
    shape = (len(x) * dist.get_world_size(), *x.shape[1:])
    behind = max((stride * size for stride, size in zip(x.stride()[1:], x.shape[1:], strict=True)), default=1)
    if len(x) > 1 and x.stride(0) != behind:
        return torch.ones(shape, dtype=x.dtype, device=x.device)
    return torch.empty_strided(shape, (behind, *x.stride()[1:]), dtype=x.dtype, device=x.device).fill_(1)


def _own_rows(x: Tensor, rows: int) -> Tensor:
    return x[dist.get_rank() * rows : (dist.get_rank() + 1) * rows]
