"""PredFormer's published settings by benchmark, and the origin of settings where none are published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from stbench import Method, UserError, create_method
from stbench.data import load_benchmark
from stbench.nn import METHODS, check_presets, protocol_layers
from stbench.settings import resolve
from stbench.sweep.plan import Request, make_plan
from stbench.sweep.weights import plan_checkpoint

ONECYCLE = {"kind": "onecycle", "warmup": 0.3, "div": 25.0, "final_div": 1e4, "momentum": [0.85, 0.95]}
COSINE = {"kind": "cosine", "warmup_epochs": 0, "warmup_lr": 1e-5, "min_lr": 1e-6}
ADAMW = {"kind": "adamw", "weight_decay": 0.01, "betas": [0.9, 0.999], "decay_all": True}
LIGHT, NONE, WEATHER = (0.1, 0.1, 0.1), (0.0, 0.0, 0.0), (0.1, 0.1, 0.25)


PUBLISHED: dict[str, tuple[Any, ...]] = {
    "taxibj": (4, 4, 8, LIGHT, 1e-3, ONECYCLE, 200, 16),
    "mmnist": (8, 4, 24, NONE, 1e-3, ONECYCLE, 2000, 16),
    "human": (8, 4, 12, LIGHT, 1e-3, COSINE, 50, 8),
    "weather_t2m": (4, 2, 8, WEATHER, 5e-4, COSINE, 50, 16),
}
"""Patch; scale_dim; blocks in all; three rates of dropping; learning rate; schedule; epochs; batch size."""
BORROWED = {
    "taxinyc": "taxibj",
    "nyctaxi30": "taxibj",
    "mfmnist": "mmnist",
    "moving_digits": "mmnist",
    "kth": "human",
    "kitticaltech": "human",
    "weather_uv10": "weather_t2m",
    "weather_r": "weather_t2m",
    "weather_tcc": "weather_t2m",
}


def settings(benchmark: str, method: str = "predformer") -> Any:
    plan = make_plan(Request(methods=[method], benchmark=benchmark, protocol="paper"))
    return next(spec for spec in plan.specs if spec.method == method)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_settings(name: str) -> None:
    patch, scale_dim, blocks, drops, lr, schedule, epochs, batch = PUBLISHED[name]
    spec = settings(name)
    config, training = spec.config, spec.training.model_dump(mode="json")
    assert (config["dim"], config["heads"], config["dim_head"], config["depth"]) == (256, 8, 32, 1)
    assert (config["patch"], config["scale_dim"], config["blocks"]) == (patch, scale_dim, blocks)
    assert (config["dropout"], config["attn_dropout"], config["drop_path"]) == drops
    assert (training["lr"], training["epochs"], training["batch_size"]) == (lr, epochs, batch)
    assert schedule.items() <= training["schedule"].items()
    assert ADAMW.items() <= training["optimizer"].items()
    assert training["clip_norm"] is None
    assert spec.origins["config.blocks"] == "preset of predformer"


def test_the_triplets_on_human_skip_layers() -> None:
    """The rows that the paper marks: one skip connection round every layer."""
    skipped = {
        (data, variant)
        for data in PUBLISHED
        for variant in METHODS.get("predformer").variants
        if settings(data, f"predformer:{variant}").config["layer_skip"]
    }
    assert skipped == {("human", "triplet_tst"), ("human", "triplet_sts")}


@pytest.mark.parametrize(("name", "like"), BORROWED.items())
def test_what_was_not_published_says_whose_settings_it_has(name: str, like: str) -> None:
    spec, other = settings(name), settings(like)
    assert spec.origins["config.blocks"] == f"preset of predformer: none published for {name}, those of {like}"
    assert spec.origins["training.lr"] == spec.origins["config.blocks"]
    for key in ("blocks", "scale_dim", "dropout", "drop_path"):
        assert spec.config[key] == other.config[key]
    assert (spec.training.lr, spec.training.optimizer) == (other.training.lr, other.training.optimizer)


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("mmnist", {"fullattention": 24, "facst": 12, "binary_ts": 12, "triplet_sts": 8, "quadruplet_tsst": 6}),
        ("taxibj", {"fullattention": 8, "facts": 4, "binary_st": 4, "triplet_tst": 2, "quadruplet_stts": 2}),
        ("human", {"fullattention": 12, "facst": 6, "binary_ts": 6, "triplet_sts": 4, "quadruplet_tsst": 3}),
    ],
)
def test_published_number_of_layers(name: str, layers: dict[str, int]) -> None:
    method = METHODS.get("predformer")
    values = resolve(protocol_layers(method, "predformer", load_benchmark(name), "paper", "config")).values
    shape = load_benchmark(name).shape.model_copy(update={"height": 16, "width": 16})
    for variant, expected in layers.items():
        tiny = {**values, "variant": variant, "dim": 4, "heads": 1, "dim_head": 4}
        built = method.create(shape, tiny, "predformer")
        inferred = method.infer_config(built.public_state_dict(), shape)
        assert inferred["ndepth"] == expected


def test_the_variant_of_a_published_file_has_to_be_named(tmp_path: Path) -> None:
    shape = load_benchmark("moving_digits").protocols["quick"].shape
    assert shape is not None
    quick = ["dim=64", "heads=4", "dim_head=16", "scale_dim=2", "blocks=4"]
    method = create_method(":".join(["predformer", "quadruplet_stts", *quick]), shape)
    torch.save(method.public_state_dict(), tmp_path / "weights.pth")

    def variant(name: str, *overrides: tuple[str, str]) -> str:
        found = plan_checkpoint(tmp_path / "weights.pth", name, "moving_digits", "quick", list(overrides))
        return str(found.spec.config["variant"])

    with pytest.raises(UserError, match=r"weights.pth does not show variant of predformer.*--method predformer:"):
        variant("predformer")
    assert variant("predformer:quadruplet_tsst") == "quadruplet_tsst"
    assert variant("predformer:variant=quadruplet_stts") == "quadruplet_stts"
    assert variant("predformer", ("predformer.variant", "quadruplet_stts")) == "quadruplet_stts"


def test_a_preset_published_for_no_list_is_refused() -> None:
    class Wrong(Method):
        presets = {"paper": {"*": {"published_for": "taxibj"}}}

    with pytest.raises(UserError, match="published_for must be a list of benchmarks, found 'taxibj'"):
        check_presets(Wrong, "wrong")
