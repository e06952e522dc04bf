"""A training step under --precision bf16, for every method."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stbench.nn import METHODS, Progress, create_method
from stbench.schema import ClipShape
from stbench.train.engine import Engine

SHAPE = ClipShape(t_in=4, t_out=4, channels=1, height=16, width=16)
TRAINED = [name for name in METHODS.names() if create_method(name, SHAPE, **METHODS.get(name).small).trainable]


def one_step(name: str, precision: str) -> tuple[set[torch.dtype], dict[str, float], torch.Tensor]:
    """Precisions that the method's layers computed in, the loss terms, and the whole gradient."""
    torch.manual_seed(0)
    engine = Engine("cpu", precision)
    method = engine.place(create_method(name, SHAPE, **METHODS.get(name).small)).train()
    clip = torch.rand(4, 8, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    before = torch.cat([p.detach().flatten().clone() for p in method.parameters()])
    module = engine.wrap(method, torch.optim.SGD(method.parameters(), lr=1.0))
    seen = set()
    for layer in method.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Conv3d | nn.Linear):
            layer.register_forward_hook(lambda module, given, output: seen.add(output.dtype))
    terms = module.step(clip, Progress(), accumulate=1, clip_norm=None)
    after = torch.cat([p.detach().flatten() for p in method.parameters()])
    return seen, {key: float(value) for key, value in terms.items()}, before - after


@pytest.mark.parametrize("name", TRAINED)
def test_bf16_trains_in_bfloat16_near_the_float32_gradient(name: str) -> None:
    plain_types, plain_terms, plain = one_step(name, "32")
    types, terms, gradient = one_step(name, "bf16")
    assert plain_types == {torch.float32}
    assert torch.bfloat16 in types
    assert terms == pytest.approx(plain_terms, rel=0.03)
    assert nn.functional.cosine_similarity(gradient, plain, dim=0) > 0.95
