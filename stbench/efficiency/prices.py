"""Costs of operators that fvcore or torch's counter lack, in multiply-adds (fvcore) and FLOPs (torch).

* Fused attention, which counts 0 in fvcore, and in torch on a CPU: its two products, masked or not.
* Contractions of two tensors by ``einsum``: exact, where fvcore rounds most of them to four digits.
* Layer normalisation of more than 5 axes, which fvcore rejects.
* In torch's counter: normalisation, pooling and resizing, as in fvcore.

A normalisation written out in elementary operators is not recognised and does not count.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from stbench.efficiency.records import ATTENTION

NORM_COST, PLAIN_NORM_COST = 5, 4
"""Multiply-adds per element of a normalisation with and without weights."""
BILINEAR_COST = 4

Shape = list[int] | torch.Size


def attention_macs(query: Shape, key: Shape, value: Shape) -> int:
    """Return the multiply-adds of Q·Kᵀ and weights·V for query (…, L, E), key (…, S, E) and value (…, S, E_v)."""
    return math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def fvcore_prices() -> dict[str, Any]:
    """Return handlers for :meth:`fvcore.nn.FlopCountAnalysis.set_op_handle`, by operator."""
    from fvcore.nn.jit_handles import einsum_flop_jit, get_shape

    def attention(inputs: list[Any], _outputs: list[Any]) -> int:
        return attention_macs(*(get_shape(tensor) for tensor in inputs[:3]))

    def layer_norm(inputs: list[Any], _outputs: list[Any]) -> int:
        return _norm_macs(get_shape(inputs[0]), get_shape(inputs[2]))

    def einsum(inputs: list[Any], outputs: list[Any]) -> int:
        terms = inputs[0].toIValue().replace(" ", "").split("->")[0].split(",")
        if len(terms) != 2 or "." in "".join(terms):
            return int(einsum_flop_jit(inputs, outputs))
        sizes: dict[str, int] = {}
        for term, tensor in zip(terms, inputs[1].node().inputs(), strict=True):
            for letter, length in zip(term, get_shape(tensor), strict=True):
                sizes[letter] = max(length, sizes.get(letter, 1))
        return math.prod(sizes.values())

    return {f"aten::{ATTENTION}": attention, "aten::layer_norm": layer_norm, "aten::einsum": einsum}


def torch_prices() -> dict[Any, Callable[..., int]]:
    """Return functions from shapes to FLOPs for :class:`torch.utils.flop_counter.FlopCounterMode`, by operator."""
    aten = torch.ops.aten

    def norm(shape: Shape, weight: Shape | None = None, *_: Any, **__: Any) -> int:
        return 2 * _norm_macs(shape, weight)

    def layer_norm(shape: Shape, _axes: Any, weight: Shape | None = None, *_: Any, **__: Any) -> int:
        return 2 * _norm_macs(shape, weight)

    def pool(shape: Shape, *_: Any, **__: Any) -> int:
        return 2 * math.prod(shape)

    def resize(cost: int) -> Callable[..., int]:
        return lambda *_, out_shape, **__: 2 * cost * math.prod(out_shape)

    def attention(query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
        return 2 * attention_macs(query, key, value)

    return {
        **dict.fromkeys((aten.native_batch_norm, aten._native_batch_norm_legit, aten.native_group_norm), norm),
        aten.native_layer_norm: layer_norm,
        **dict.fromkeys((aten.mean, aten._adaptive_avg_pool2d), pool),
        # also by overload, or torch's counter would decompose the operator into indexing
        **dict.fromkeys((aten.upsample_nearest2d, aten.upsample_nearest2d.default), resize(1)),
        **dict.fromkeys((aten.upsample_bilinear2d, aten.grid_sampler_2d), resize(BILINEAR_COST)),
        aten._scaled_dot_product_flash_attention_for_cpu: attention,
    }


def _norm_macs(shape: Shape, weight: Shape | None) -> int:
    return math.prod(shape) * (PLAIN_NORM_COST if weight is None else NORM_COST)
