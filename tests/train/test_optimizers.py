"""Optimisers: which parameters they touch, and AdamW's decay against the paper's update written out."""

import pytest
import torch
from torch import nn

from stbench.schema import OPTIMIZERS, Parameters, Training
from stbench.train.optimizers import Adam, AdamW

LR = 0.01


class Scaled(nn.Module):
    """A stand-in for a norm of somebody's own: a gain of three axes."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(4, 2, 2))


class MyLayerNorm(Scaled):
    pass


def network() -> nn.Module:
    torch.manual_seed(0)
    model = nn.ModuleDict(
        {"conv": nn.Conv2d(3, 4, 3), "batch": nn.BatchNorm2d(4), "own": MyLayerNorm(), "map": Scaled()}
    )
    model.register_parameter("scale", nn.Parameter(torch.ones(4)))
    model["conv"].bias = nn.Parameter(torch.zeros(4, 1))
    return model


def test_decay_spares_biases_norms_and_vectors() -> None:
    model = network()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed, spared = Parameters(model).split_by_decay()
    assert [names[id(parameter)] for parameter in decayed] == ["conv.weight", "map.gain"]
    assert {names[id(parameter)] for parameter in spared} == {
        "conv.bias",
        "batch.weight",
        "batch.bias",
        "own.gain",
        "scale",
    }


@pytest.mark.parametrize("decay_all", [False, True])
def test_adamw_scales_decayed_weights_beside_adams_step(decay_all: bool) -> None:
    """Loshchilov & Hutter, algorithm 2: θ ← θ − lr·(Adam's direction) − lr·λ·θ."""
    plain, ours = network(), network()
    settings = AdamW(weight_decay=0.5, decay_all=decay_all)
    both = [(plain, Adam().build(Parameters(plain), LR)), (ours, settings.build(Parameters(ours), LR))]
    for model, optimizer in both:
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, 0.3)
        optimizer.step()
    before = dict(network().named_parameters())
    for name, parameter in ours.named_parameters():
        adams = dict(plain.named_parameters())[name]
        shrunk = decay_all or name in ("conv.weight", "map.gain")
        expected = adams - LR * 0.5 * before[name] if shrunk else adams
        torch.testing.assert_close(parameter, expected, rtol=1e-5, atol=1e-7)


def test_adam_is_torchs() -> None:
    ours, theirs = network(), network()
    pairs = [
        (ours, Adam(betas=(0.8, 0.9), eps=1e-6, weight_decay=0.1).build(Parameters(ours), LR)),
        (theirs, torch.optim.Adam(theirs.parameters(), LR, (0.8, 0.9), 1e-6, 0.1, fused=True)),
    ]
    for model, optimizer in pairs:
        for step in range(3):
            for parameter in model.parameters():
                parameter.grad = torch.full_like(parameter, 0.1 + step)
            optimizer.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_a_run_reads_its_optimizer_by_name(name: str) -> None:
    training = Training(epochs=1, batch_size=2, lr=0.1, schedule={"kind": "constant"}, optimizer={"kind": name})  # type: ignore[arg-type]
    assert type(training.optimizer) is OPTIMIZERS.get(name)
    assert Training.model_validate(training.model_dump(mode="json")) == training


def test_the_fields_optimiser_is_the_default() -> None:
    training = Training(epochs=1, batch_size=2, lr=0.1, schedule={"kind": "constant"})  # type: ignore[arg-type]
    assert training.optimizer == Adam()
    assert "ema" not in training.model_dump()
