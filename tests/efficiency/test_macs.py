"""Counts against products written out by hand, and against the reference implementation's."""

import csv
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from stbench.efficiency.macs import analyse, count_macs, operator_macs, total_macs, training_step_macs
from stbench.efficiency.subject import build
from stbench.nn import create_method
from stbench.schema import ClipShape
from tests.efficiency.subjects import planned

REFERENCE_NAMES = {
    "tau": "TAU",
    "simvp:gsta": "SimVP_gSTA",
    "simvp": "SimVP_IncepU",
    "convlstm": "ConvLSTM",
    "predrnn": "PredRNN",
    "phydnet": "PhyDNet",
}


class Gate(nn.Module):
    """The elementwise end of a recurrent step."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x) * torch.tanh(x) + x


class Attention(nn.Module):
    """A fused kernel, with queries and values of different sizes."""

    def forward(self, x: Tensor) -> Tensor:
        mask = torch.ones(x.shape[2], x.shape[2], dtype=torch.bool, device=x.device)
        return nn.functional.scaled_dot_product_attention(x[..., :4], x[..., 4:8], x[..., 8:], attn_mask=mask)


class Einsum(nn.Module):
    """A contraction that fvcore alone counts to four digits."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("bhid,bhjd->bhij", x, x)


class Resize(nn.Module):
    """Twice the size, by the nearest pixel and bilinearly."""

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.interpolate(x, scale_factor=2.0)
        return nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear")


BY_HAND = {
    # every output element sums over the kernel and the input channels
    "conv": (nn.Conv2d(3, 8, 5, padding=2), (1, 3, 6, 7), 8 * 6 * 7 * 3 * 5 * 5),
    "conv, stride 2": (nn.Conv2d(3, 8, 3, stride=2, padding=1), (1, 3, 8, 8), 8 * 4 * 4 * 3 * 3 * 3),
    # ... over the one channel of its group
    "depth-wise conv": (nn.Conv2d(8, 8, 3, padding=1, groups=8), (1, 8, 6, 7), 8 * 6 * 7 * 3 * 3),
    # every *input* element is spread over the kernel and the output channels
    "transposed conv": (
        nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1),
        (1, 4, 5, 5),
        4 * 25 * 6 * 9,
    ),
    "linear map": (nn.Linear(10, 4), (2, 10), 2 * 10 * 4),
    "GroupNorm": (nn.GroupNorm(2, 8), (1, 8, 6, 7), 5 * 8 * 6 * 7),
    "BatchNorm": (nn.BatchNorm2d(8), (2, 8, 3, 3), 5 * 2 * 8 * 3 * 3),
    "LayerNorm": (nn.LayerNorm(8), (2, 3, 8), 5 * 2 * 3 * 8),
    "LayerNorm over six axes": (nn.LayerNorm(8), (1, 2, 1, 3, 2, 8), 5 * 2 * 3 * 2 * 8),
    "LayerNorm without weights": (nn.LayerNorm(8, elementwise_affine=False), (2, 3, 8), 4 * 2 * 3 * 8),
    # queries times keys, then weights times values: every query meets every key, masked or not
    "fused attention": (Attention(), (2, 3, 5, 14), 2 * 3 * 5 * 5 * (4 + 6)),
    "einsum": (Einsum(), (1, 8, 256, 32), 8 * 256 * 256 * 32),
    "resizing": (Resize(), (1, 2, 3, 4), 2 * 6 * 8 + 4 * 2 * 12 * 16),
    "elementwise gate": (Gate(), (1, 8, 6, 7), 0),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_operators_by_hand(name: str) -> None:
    module, shape, expected = BY_HAND[name]
    x = torch.zeros(shape)
    assert analyse(module, x).total == expected
    assert operator_macs(module, x) == expected
    assert operator_macs(module.to("meta"), x.to("meta")) == expected


def test_gate_is_listed_as_uncounted() -> None:
    assert analyse(Gate(), torch.zeros(1, 8, 6, 7)).uncounted == {"sigmoid": 1, "tanh": 1, "mul": 1, "add": 1}


def test_attention_is_added_and_said() -> None:
    """Nothing is left uncounted there but the reading of the input, and the record tells its share."""
    counted = analyse(Attention(), torch.zeros(2, 3, 5, 14))
    assert counted.operators == {"scaled_dot_product_attention": 1500}
    assert not counted.uncounted
    count = count_macs(planned("predformer", protocol="quick")[0])
    assert count.attention == count.operators["scaled_dot_product_attention"] > 0
    assert count.executed == count.torch_counter == sum(count.modules.values())


def test_a_convlstm_step_by_hand() -> None:
    """T_in = T_out = 1 is one step, whose states are zero: the convolution of h is idle, its published cost is not."""
    n, kernel, patch, c, side = 6, 3, 2, 2, 8
    shape = ClipShape(t_in=1, t_out=1, channels=c, height=side, width=side)
    method = create_method("convlstm", shape, hidden=(n,), kernel=kernel, patch=patch)
    pixels = (side // patch) ** 2
    frame = patch * patch * c
    of_input = 4 * n * frame * kernel**2 * pixels
    of_state = 4 * n * n * kernel**2 * pixels
    readout = n * frame * pixels
    past = torch.zeros(shape.past(1))
    assert analyse(method, past).total == of_input + readout
    assert method.idle_macs() == of_state
    assert total_macs(lambda: method) == of_input + of_state + readout


def test_two_steps_cost_the_state_once_more() -> None:
    n = 6
    one = ClipShape(t_in=1, t_out=1, channels=1, height=4, width=4)
    two = one.model_copy(update={"t_out": 2})
    first, both = (total_macs(lambda s=s: create_method("convlstm", s, hidden=(n,), patch=1)) for s in (one, two))
    assert both == 2 * first


@pytest.mark.parametrize("name", REFERENCE_NAMES)
def test_reference_counts(name: str, shared_dir: Path) -> None:
    """The whole prediction's MACs by fvcore, and torch's counter agrees with it."""
    rows = csv.DictReader((shared_dir / "reference" / "params_flops.csv").open())
    expected = {row["method"]: row for row in rows if row["dataset"] == "taxibj"}[REFERENCE_NAMES[name]]
    count = count_macs(planned(name)[0])
    assert count.total == int(expected["flops_measured"])
    assert count.flops == 2 * count.total
    assert count.torch_counter == count.executed == sum(count.operators.values())
    assert sum(count.modules.values()) == count.executed
    assert count.one_pass is None


def test_a_longer_horizon_counts_every_pass() -> None:
    spec = planned("tau", protocol="quick")[0]
    short = count_macs(spec)
    longer = count_macs(spec.model_copy(update={"shape": spec.shape.model_copy(update={"t_out": 10})}))
    assert longer.one_pass == short.total
    assert longer.total == 3 * short.total  # 4 + 4 + 2 of the last 4 frames


def test_a_training_step_is_three_forwards_per_clip() -> None:
    spec = planned("convlstm", protocol="quick")[0]
    assert training_step_macs(lambda: build(spec), 16) == 48 * count_macs(spec).total
