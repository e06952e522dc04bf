"""PredFormer against the reference tensors and its slow version; stochastic depth, positions, checkpoints, costs."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from stbench_methods.predformer.codec import sinusoids
from torch import Tensor

from stbench import ClipShape, Method, Progress, UserError, create_method
from stbench.efficiency.macs import analyse, operator_macs, total_macs
from stbench.nn import METHODS
from stbench.nn.drop_path import DropPath

from .oracles import predformer as oracle
from .reference import SPREAD_FACTOR, assert_close, assert_gradients, load

VARIANTS = tuple(METHODS.get("predformer").variants)
FILES = {name: name for name in VARIANTS} | {"triplet_sts_skip": "triplet_sts"}
SMALL = {"patch": 4, "dim": 16, "heads": 2, "dim_head": 8, "scale_dim": 2, "ndepth": 2}
STILL = {"dropout": 0.0, "attn_dropout": 0.0, "drop_path": 0.0}
REFERENCE_SHAPE = ClipShape(t_in=4, t_out=4, channels=2, height=16, width=16)

LENGTHS = ClipShape(t_in=3, t_out=7, channels=1, height=8, width=12)
SHORT = ClipShape(t_in=4, t_out=1, channels=3, height=12, width=6)


@dataclass(frozen=True)
class Case:
    """A setting that no reference file has."""

    shape: ClipShape
    settings: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return ",".join(f"{key}={value}" for key, value in self.settings.items())


CASES = [
    *(Case(LENGTHS, {**SMALL, "variant": name, "patch": 2}) for name in VARIANTS),
    *(Case(SHORT, {**SMALL, "variant": name, "patch": 3, "dim": 10, "heads": 3, "dim_head": 4}) for name in VARIANTS),
    *(Case(LENGTHS, {**SMALL, "variant": n, "depth": 2, "ndepth": 1, "layer_skip": True}) for n in VARIANTS[3:]),
    Case(SHORT, {**SMALL, "variant": "facst", "patch": 2, "token_order": "public"}),
    Case(LENGTHS, {**SMALL, "variant": "facst", "patch": 1, "token_order": "public", "ndepth": 1}),
    Case(SHORT, {**SMALL, "variant": "facts", "token_order": "public", "patch": 6}),
    Case(LENGTHS, {**SMALL, "variant": "binary_ts", "heads": 1, "dim_head": 16, "scale_dim": 1}),
    Case(LENGTHS, {**SMALL, "variant": "fullattention", "heads": 1, "dim_head": 8, "dim": 7, "scale_dim": 3}),
]


def random_weights(case: Case) -> Method:
    """In float64, every parameter drawn at random."""
    torch.manual_seed(3)
    method = create_method("predformer", case.shape, **STILL, **case.settings).double()
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.normal_(std=0.3)
    return method


def published(method: Method) -> dict[str, Tensor]:
    keys = method.public_key_map()
    return {keys[name]: parameter for name, parameter in method.named_parameters()}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_prediction_loss_and_gradients_of_the_slow_version(case: Case) -> None:
    method = random_weights(case)
    clip = torch.rand(2, case.shape.length, *case.shape.frame, dtype=torch.float64)
    past, future = clip[:, : case.shape.t_in], clip[:, case.shape.t_in :]
    weights = published(method)
    expected = oracle.loss(weights, past, future, case.settings)
    wanted = torch.autograd.grad(expected, list(weights.values()))
    loss = method.train().training_losses(past, future, Progress())["loss"]
    seen = torch.autograd.grad(loss, list(weights.values()))
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=0)
    for key, grad, right in zip(weights, seen, wanted, strict=True):
        torch.testing.assert_close(grad, right, rtol=1e-8, atol=1e-12, msg=key)
    with torch.no_grad():
        frames = oracle.repeated(weights, past, case.shape.t_out, case.settings)
        torch.testing.assert_close(method.eval()(past), frames, rtol=1e-10, atol=1e-12)


def reference(file: str, data: dict[str, Any], token_order: str) -> Method:
    config, skip = data["config"]["model_config"], data["config"]["layer_skip"]
    assert (config["dim"], config["heads"], config["Ndepth"]) == (SMALL["dim"], SMALL["heads"], SMALL["ndepth"])
    settings = {**SMALL, **STILL, "layer_skip": skip, "token_order": token_order}
    method = create_method(f"predformer:{FILES[file]}", REFERENCE_SHAPE, **settings)
    method.load_public_state_dict(data["state_dict"])
    return method


@pytest.mark.parametrize("file", [*FILES, "facst_ordered"])
def test_reference_tensors(file: str, shared_dir: Path) -> None:
    end = "_ordered" if file.endswith("_ordered") else ""
    file = file.removesuffix(end)
    data = load(shared_dir, f"predformer_{file}")
    method = reference(file, data, "public" if file == "facst" and not end else "ordered")
    allowed = SPREAD_FACTOR * data["eval_spread"]
    with torch.no_grad():
        assert (method.eval()(data["batch_x"]) - data[f"eval_output{end}"]).abs().max().item() <= allowed
        assert (method.train()(data["batch_x"]) - data[f"train_output{end}"]).abs().max().item() <= allowed
    loss = method.training_losses(data["batch_x"], data["batch_y"], Progress())["loss"]
    loss.backward()
    assert_close(loss.item(), data[f"train_loss{end}"].item(), "loss")
    assert_gradients(method, data[f"grads_norm{end}"])
    back = method.public_state_dict()
    assert set(back) == set(data["state_dict"])


@pytest.mark.parametrize("name", VARIANTS)
def test_sizes_are_read_off_a_file(name: str) -> None:
    """All but the variant and the number of heads, which no shape shows."""
    given = {**SMALL, "patch": 2, "dim": 12, "heads": 1, "dim_head": 12, "depth": 3, "ndepth": 4}
    method = create_method(f"predformer:{name}", LENGTHS, **given)
    found = METHODS.get("predformer").infer_config(method.public_state_dict(), LENGTHS)
    config = method.config.model_dump()
    layered = name not in ("fullattention", "facst", "facts")
    expected = {"patch", "dim", "heads", "dim_head", "scale_dim", "ndepth", *(["depth"] if layered else [])}
    assert found == {key: config[key] for key in expected}
    with_heads = create_method(f"predformer:{name}", LENGTHS, **{**given, "heads": 3, "dim_head": 5})
    found = METHODS.get("predformer").infer_config(with_heads.public_state_dict(), LENGTHS)
    assert not {"heads", "dim_head"} & set(found)
    assert METHODS.get("predformer").infer_config({}, LENGTHS) == {}


@pytest.mark.parametrize(
    ("one", "other"), [("facst", "facts"), ("quadruplet_stts", "quadruplet_tsst")], ids=lambda pair: pair
)
def test_two_variants_fit_one_file_and_differ(one: str, other: str) -> None:
    torch.manual_seed(0)
    method, twin = (create_method(f"predformer:{name}", LENGTHS, **SMALL).eval() for name in (one, other))
    twin.load_public_state_dict(method.public_state_dict())
    past = torch.rand(LENGTHS.past(1))
    assert not torch.allclose(method(past), twin(past), atol=1e-4)


def test_a_checkpoint_of_another_size_loads() -> None:
    """Positions have no weights."""
    larger = LENGTHS.model_copy(update={"t_in": 5, "height": 16})
    method, other = (create_method("predformer:binary_st", shape, **SMALL) for shape in (LENGTHS, larger))
    other.load_public_state_dict(method.public_state_dict())
    with pytest.raises(UserError, match="got"):
        other(torch.rand(LENGTHS.past(1)))


def test_positions_of_late_tokens() -> None:
    """Entries for token numbers in the thousands, by the formula in another order of computation."""
    table = sinusoids(5000, 6)
    for token, feature in ((0, 0), (0, 1), (4999, 0), (4999, 1), (4242, 2), (4242, 3), (1234, 5)):
        angle = torch.tensor(token / 10000 ** (2 * (feature // 2) / 6), dtype=torch.float64).float()
        expected = angle.cos() if feature % 2 else angle.sin()
        assert table[token, feature] == expected


@pytest.mark.parametrize(
    ("name", "groups"),
    [("fullattention", (1,)), ("facst", (3, 6)), ("binary_ts", (6, 3)), ("triplet_sts", (3, 6, 3))],
)
def test_stochastic_depth_draws_once_per_frame_or_patch(
    name: str, groups: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sequences per sample at each draw: T_in frames in spatial stacks, N patches in temporal ones, 1 over both."""
    shape = ClipShape(t_in=3, t_out=3, channels=1, height=8, width=12)
    method = create_method(f"predformer:{name}", shape, **{**SMALL, "ndepth": 1}, drop_path=0.5).train()
    seen: list[int] = []
    drawn = DropPath._kept

    def count(self: DropPath, x: Tensor) -> Tensor:
        seen.append(drawn(self, x).numel() // 2)
        return drawn(self, x)

    monkeypatch.setattr(DropPath, "_kept", count)
    method(torch.rand(shape.past(2)))
    assert seen == [group for group in groups for _ in range(2)]


def test_dropped_rows_are_whole_and_survivors_are_scaled() -> None:
    """With the residual branches dropped at rate r, a row of a block's output is its input or has the branch/(1−r)."""
    method = create_method("predformer:facst", LENGTHS, **{**SMALL, "ndepth": 1}, **{**STILL, "drop_path": 0.25})
    block = next(module for module in method.modules() if type(module).__name__ == "GatedTransformerBlock")
    with torch.no_grad():
        for parameter in block.feed_forward.parameters():
            parameter.zero_()
    x = torch.rand(400, 5, 16)
    branch = block.attention(block.norm1(x)) / 0.75
    torch.manual_seed(0)
    change = block.train()(x) - x
    kept = change.abs().amax((1, 2)) > 1e-7
    torch.testing.assert_close(change[kept], branch[kept], rtol=1e-4, atol=1e-6)
    assert 0.68 < kept.float().mean() < 0.82


@pytest.mark.parametrize("name", VARIANTS)
def test_initial_weights(name: str) -> None:
    torch.manual_seed(0)
    method = create_method(f"predformer:{name}", LENGTHS, dim=64, blocks=4, patch=2)
    for key, parameter in method.named_parameters():
        if key.startswith("codec.") or "norm" in key:
            continue
        if key.endswith("bias"):
            assert not parameter.any()
        else:
            assert 0.019 < parameter.std().item() < 0.021
            assert parameter.abs().max().item() > 0.05
    head = method.get_parameter("codec.head.weight")
    assert 0.3 * 64**-0.5 < head.std().item() < 64**-0.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": "binary"}, "variant = 'binary'"),
        ({"variant": "quadruplet_tsst", "blocks": 3}, "blocks = 3: a layer of quadruplet_tsst needs 4"),
        ({"variant": "binary_ts", "blocks": 3, "depth": 2}, "blocks = 3: a layer of binary_ts needs 4"),
        ({"variant": "facst", "layer_skip": True}, "layer_skip: facst has no layers"),
        ({"token_order": "mixed"}, "token_order = 'mixed'"),
    ],
)
def test_mistakes(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        create_method("predformer", LENGTHS, **settings)
    assert message in str(caught.value)


PUBLISHED: dict[str, tuple[ClipShape, dict[str, Any]]] = {
    "taxibj": (ClipShape(t_in=4, t_out=4, channels=2, height=32, width=32), {"patch": 4, "blocks": 8}),
    "mmnist": (ClipShape(t_in=10, t_out=10, channels=1, height=64, width=64), {"patch": 8, "blocks": 24}),
    "weather_t2m_5_625": (
        ClipShape(t_in=12, t_out=12, channels=1, height=32, width=64),
        {"patch": 4, "blocks": 8, "scale_dim": 2},
    ),
    "human": (ClipShape(t_in=4, t_out=4, channels=3, height=256, width=256), {"patch": 8, "blocks": 12}),
}


@pytest.mark.parametrize("dataset", PUBLISHED)
@pytest.mark.parametrize("name", VARIANTS)
def test_published_costs(name: str, dataset: str, shared_dir: Path) -> None:
    """Parameters and the published count; what is executed differs by fvcore's four digits per einsum alone."""
    shape, settings = PUBLISHED[dataset]
    rows = csv.DictReader((shared_dir / "reference" / "params_flops_more.csv").open())
    row = next(r for r in rows if (r["dataset"], r["method"].lower()) == (dataset, f"predformer_{name}"))

    def make() -> Method:
        return create_method(f"predformer:{name}", shape, **settings)

    with torch.device("meta"):
        method = make()
    assert sum(p.numel() for p in method.parameters()) == int(row["params"])
    assert total_macs(make) == int(float(row["flops_measured"]))
    assert abs(method.idle_macs()) < 1e-4 * int(float(row["flops_measured"]))


def test_multiply_adds_by_hand() -> None:
    """Two layers of two stacks on 3 frames of 6 patches: every product written out."""
    shape = ClipShape(t_in=3, t_out=3, channels=1, height=8, width=12)
    method = create_method("predformer:binary_st", shape, **{**SMALL, **STILL})
    d, tokens, inner = 16, 18, 32
    maps = tokens * (d * 3 * d + d * d + 3 * d * inner) + 2 * 5 * tokens * d
    spatial, temporal = 2 * 3 * 6 * 6 * d, 2 * 6 * 3 * 3 * d
    expected = 2 * (2 * (maps + 5 * tokens * d) + spatial + temporal) + 2 * tokens * d * 16 + 5 * tokens * d
    past = torch.zeros(shape.past(1))
    counted = analyse(method, past)
    assert counted.total == expected == operator_macs(method, past)
    assert counted.operators["scaled_dot_product_attention"] == 2 * (spatial + temporal)
    assert set(counted.uncounted) <= {"add", "mul", "silu", "unflatten"}


def test_a_frame_that_the_default_patch_does_not_divide() -> None:
    from stbench.conformance.subject import benchmark_of

    fitted = {
        (h, w): METHODS.get("predformer").adapt(benchmark_of(LENGTHS.model_copy(update={"height": h, "width": w})))
        for h, w in ((32, 64), (30, 20), (25, 35))
    }
    assert fitted == {(32, 64): {"patch": 4}, (30, 20): {"patch": 2}, (25, 35): {"patch": 4}}  # odd: padded
