"""Methods by name: variants, ``key=value``, and the message of each kind of mistake."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from stbench import ClipShape, create_method
from stbench.errors import UserError
from stbench.nn import METHODS, EncoderConfig, variant_settings
from tests.methods.small import SHAPE, TRAINED, UNTRAINED, build


def test_every_method_of_the_suite_is_registered() -> None:
    assert {name.split(":")[0] for name in TRAINED} | set(UNTRAINED) <= set(METHODS.names())


@pytest.mark.parametrize("name", sorted({n.split(":")[0] for n in TRAINED}))
def test_a_method_says_where_it_comes_from(name: str) -> None:
    plugin = METHODS.get(name)
    assert plugin.summary
    assert plugin.paper is not None
    assert plugin.paper.url.startswith("https://")


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("tau", {}),
        ("tau:no_sa", {"statical_attention": False}),
        ("tau:no_da:no_ddr", {"dynamical_attention": False, "ddr_weight": 0.0}),
        ("simvp:gsta", {"translator": "gsta"}),
        ("simvp:moga", {"translator": "moga"}),
        ("swinlstm:d", {"model": "d"}),
        ("mau:recall:residual", {"recall": True, "residual": True}),
        ("predrnnv2:decouple_weight=0.05", {"decouple_weight": 0.05}),
        ("convlstm:hidden=[8, 16]:layer_norm=true", {"hidden": [8, 16], "layer_norm": True}),
        ("phydnet:patch=2:output_activation=none", {"patch": 2, "output_activation": "none"}),
    ],
)
def test_settings_of_a_name(name: str, settings: dict[str, Any]) -> None:
    assert variant_settings(name) == settings
    config = create_method(name, SHAPE, **({"patch": 2} if name.startswith("convlstm") else {}), **shrink(name)).config
    assert all(getattr(config, key) == type(getattr(config, key))(value) for key, value in settings.items())


def shrink(name: str) -> dict[str, Any]:
    small = TRAINED[name if name in TRAINED else name.split(":")[0]]
    return {key: value for key, value in small.items() if key not in variant_settings(name) and key != "patch"}


@pytest.mark.parametrize(
    ("public", "own"),
    [("gSTA", "gsta"), ("MLPMixer", "mlp"), ("moganet", "moga"), ("IncepU", "inception"), ("ViT", "vit")],
)
def test_translators_by_the_names_of_published_configurations(public: str, own: str) -> None:
    assert METHODS.get("simvp").Config.parse({"translator": public}, "test").model_dump()["translator"] == own


def test_a_given_hyperparameter_beats_the_name() -> None:
    assert build("tau:drop_path=0.3", drop_path=0.2).config.model_dump()["drop_path"] == 0.2


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("tua", {}, "Unknown method 'tua'. Did you mean 'tau'?"),
        ("tau:no_as", {}, "Unknown variant of 'tau' 'no_as'. Did you mean 'no_sa'?"),
        ("tau", {"drop_pth": 0}, "unknown key 'drop_pth'. Did you mean 'drop_path'?"),
        ("tau:drop_pth=0", {}, "unknown key 'drop_pth'. Did you mean 'drop_path'?"),
        ("predrnnv2", {"decouple_wieght": 0.1}, "Did you mean 'decouple_weight'?"),
        ("tau", {"hid_s": "wide"}, "method 'tau': hid_s = 'wide'"),
        ("tau", {"drop_path": 1.0}, "drop_path = 1.0"),
        ("tau:hid_s=[3", {}, "cannot read the value '[3'"),
        ("simvp:gsat", {}, "Did you mean 'gsta'?"),
        ("simvp", {"translator": "conv"}, "translator = 'conv'"),
        ("simvp", {"hid_s": 8, "hid_t": 16, "kernels": (3, 4)}, "kernels = 4: an even kernel"),
        ("simvp", {"hid_s": 8, "n_t": 1}, "n_t = 1"),
        ("simvp", {"hid_s": 8, "hid_t": 17}, "hid_t = 17"),
        ("simvp", {"hid_s": 2, "hid_t": 16}, "width 6 does not divide into 8 groups"),
        ("tau", {"n_t": 1}, "n_t = 1"),
        ("simvp:vit", {"mlp_ratio": 1.0}, "mlp_ratio = 1.0: the blocks of 'vit' need more than 1"),
        *(
            (f"simvp:{kind}", {"hid_s": 8, "hid_t": 12}, "width 12 does not divide by 8")
            for kind in ("vit", "hornet", "moga")
        ),
        ("simvp:uniformer", {"hid_s": 8, "hid_t": 12, "n_t": 3}, "width 12 does not divide by 8"),
        ("simvp:swin", {"hid_s": 2, "hid_t": 16}, "width 6 is too narrow for 8 heads"),
        ("simvp:mlp", {"hid_s": 8, "hid_t": 1}, "width 1 leaves no width for its token MLP"),
        ("swinlstm:b", {"num_heads": (3,)}, "3 heads do not divide the width 128"),
        ("swinlstm:d", {"num_heads": (4,)}, "need one number per level each, got 1, 2 and 2"),
        ("tau", {"mlp_ratio": 0.001}, "mlp_ratio = 0.001: nothing is left of 96 channels"),
        ("simvp:gsta", {"mlp_ratio": 0.001}, "mlp_ratio = 0.001"),
        ("tau", {"mlp_ratio": float("inf")}, "method 'tau' cannot be built with mlp_ratio=inf: OverflowError"),
        ("tau", {"hid_t": 2**62}, f"method 'tau' cannot be built with hid_t={2**62}: RuntimeError: Storage size"),
        ("tau", {"hid_s": 5}, "hid_s = 5: the group normalisation needs a multiple of 2"),
        ("phydnet", {"hid_s": 2**70}, "cannot be built with hid_s="),
        ("tau:", {}, "Method 'tau:': a part beside a colon is empty"),
        ("tau::no_sa", {}, "a part beside a colon is empty"),
        ("tau:no_sa:", {}, "a part beside a colon is empty"),
        (":no_sa", {}, "a part beside a colon is empty"),
        ("tau", {"kernel_enc": 4}, "kernel_enc = 4: an even kernel"),
        ("mau", {"downsampling": 3}, "downsampling = 3"),
        ("mau", {"kernel": 4}, "kernel = 4: an even kernel"),
        ("mau", {"hidden": (4, 8)}, "MAU passes one memory through all layers"),
        ("convlstm", {"kernel": 4}, "kernel = 4: an even kernel"),
        ("convlstm", {"hidden": ()}, "hidden = ()"),
        ("predrnn", {"hidden": (4, 8)}, "PredRNN passes one memory through all layers"),
        ("predrnnpp", {"hidden": (4,)}, "the highway runs between two layers"),
        ("predrnnpp", {"hidden": (4, 8)}, "make them equal"),
        ("mim", {"hidden": (4, 8)}, "make them equal"),
        ("phydnet", {"patch": 3}, "patch = 3"),
        ("mau", {"encoder": "shared"}, "unknown key 'encoder'"),
    ],
)
def test_mistakes(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        create_method(name, SHAPE, **settings)
    assert message in str(caught.value)


def test_a_method_larger_than_any_memory_says_so() -> None:
    with pytest.raises(
        MemoryError, match=r"method 'tau' cannot be built with hid_t=1000000000: .*memory.* Choose smaller"
    ):
        create_method("tau", SHAPE, hid_t=10**9)


@pytest.mark.parametrize("name", [*TRAINED, *UNTRAINED])
def test_a_past_that_cannot_be_read(name: str) -> None:
    method = build(name).eval()
    past = torch.rand(SHAPE.past(2))
    cases: list[tuple[Any, str]] = [
        (past.tolist(), "reads a torch tensor, got a list"),
        (past.numpy(), "got a ndarray"),
        (None, "got a NoneType"),
        ((past * 255).byte(), r"got torch.uint8. Convert the past with .to\(torch.float32\)"),
        (past[0], r"got \(3, 2, 16, 8\)"),
        (past[:0], r"got \(0, 3, 2, 16, 8\)"),
        (past[:, :2], r"got \(2, 2, 2, 16, 8\)"),
        (past.permute(0, 2, 1, 3, 4), r"\(B, 3, 2, 16, 8\), got \(2, 2, 3, 16, 8\)"),
    ]
    if name in TRAINED:
        cases.append((past.double(), "computes in torch.float32, got torch.float64"))
    for wrong, message in cases:
        with pytest.raises(UserError, match=message):
            method(wrong)


def test_a_shape_that_is_none() -> None:
    with pytest.raises(UserError, match="needs a ClipShape, got tuple"):
        create_method("tau", (4, 4, 2, 32, 32))  # type: ignore[arg-type]


def test_linear_needs_two_past_frames() -> None:
    shape = ClipShape(t_in=1, t_out=2, channels=1, height=4, width=4)
    with pytest.raises(UserError, match="t_in = 1"):
        create_method("linear", shape)


def test_which_methods_can_use_the_shared_encoder() -> None:
    can = {name for name in METHODS.names() if issubclass(METHODS.get(name).Config, EncoderConfig)}
    assert {"tau", "simvp", "convlstm", "predrnn", "predrnnpp", "predrnnv2", "mim", "phydnet", "predformer"} <= can
    assert not {"mau", *UNTRAINED} & can
