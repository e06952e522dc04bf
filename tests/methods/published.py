"""The published settings behind the rows of ``../shared/reference/params_flops*.csv``."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from stbench import ClipShape, Method, create_method

# A stacked method is counted for one pass of T_in frames, so KTH and KittiCaltech are 10 -> 10 for those.
SHAPES = {
    "taxibj": ClipShape(t_in=4, t_out=4, channels=2, height=32, width=32),
    "mmnist": ClipShape(t_in=10, t_out=10, channels=1, height=64, width=64),
    "weather_t2m_5_625": ClipShape(t_in=12, t_out=12, channels=1, height=32, width=64),
    "kth": ClipShape(t_in=10, t_out=20, channels=1, height=128, width=128),
    "human": ClipShape(t_in=4, t_out=4, channels=3, height=256, width=256),
    "kitticaltech": ClipShape(t_in=10, t_out=1, channels=3, height=128, width=160),
}

SIX = tuple(SHAPES)
"""The datasets of the first table."""
SHAPES |= {
    "mfmnist": SHAPES["mmnist"],
    "mmnist_cifar": SHAPES["mmnist"].model_copy(update={"channels": 3}),
    "weather_r_5_625": SHAPES["weather_t2m_5_625"],
    "weather_tcc_5_625": SHAPES["weather_t2m_5_625"],
    "weather_uv10_5_625": SHAPES["weather_t2m_5_625"].model_copy(update={"channels": 2}),
    "weather_mv_4_s6_5_625": ClipShape(t_in=4, t_out=4, channels=12, height=32, width=64),
    "weather_t2m_1_40625": ClipShape(t_in=12, t_out=12, channels=1, height=128, width=256),
}


def _stack(taxibj: str, mmnist: str, weather: str, kth: str, human: str, kitticaltech: str) -> dict[str, Any]:
    """hid_s/hid_t/n_t/n_s per dataset."""
    texts = dict(zip(SIX, (taxibj, mmnist, weather, kth, human, kitticaltech), strict=True))
    names = ("hid_s", "hid_t", "n_t", "n_s")
    return {d: dict(zip(names, map(int, text.split("/")), strict=True)) for d, text in texts.items()}


def _each(key: str, *values: int) -> dict[str, Any]:
    return {dataset: {key: value} for dataset, value in zip(SIX, values, strict=True)}


SMALL, LARGE, WIDE_FRAMES = (
    {"hid_s": 32, "hid_t": 256, "n_t": 8, "n_s": 2},
    {"hid_s": 64, "hid_t": 512, "n_t": 8, "n_s": 4},
    {"hid_s": 64, "hid_t": 256, "n_t": 6, "n_s": 2},
)
METAFORMERS = {
    "ViT": "vit",
    "Swin": "swin",
    "Uniformer": "uniformer",
    "MLPMixer": "mlp",
    "ConvMixer": "convmixer",
    "Poolformer": "poolformer",
    "ConvNeXt": "convnext",
    "VAN": "van",
    "HorNet": "hornet",
    "MogaNet": "moga",
}


def _metaformer(kind: str) -> dict[str, Any]:
    """The settings table of the ten MetaFormer translators."""
    rows = {
        **{dataset: SMALL for dataset in SHAPES if dataset == "taxibj" or dataset.startswith("weather")},
        **dict.fromkeys(("mmnist", "mfmnist", "mmnist_cifar", "human"), LARGE),
        **dict.fromkeys(("kth", "kitticaltech"), WIDE_FRAMES),
    }
    special: dict[str, dict[str, dict[str, int]]] = {
        "hornet": {"human": {"n_t": 6}},
        "moga": {"human": {"n_t": 6, "hid_t": 256}},
        "vit": {"human": {"hid_t": 256}},
    }
    changed = special.get(kind, {})
    if kind in ("vit", "uniformer"):
        changed |= {"kth": {"n_t": 4}, "kitticaltech": {"n_t": 4}, "weather_t2m_1_40625": {"n_s": 4}}
    if kind in ("convmixer", "convnext"):
        del rows["weather_mv_4_s6_5_625"]
    return {dataset: {**settings, **changed.get(dataset, {})} for dataset, settings in rows.items()}


PATCHES = _each("patch", 2, 4, 2, 2, 4, 2)
WIDE = {"mmnist": {"patch": 4, "hidden": (192, 192, 192, 192)}}

ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "TAU": ("tau", _stack("32/256/8/2", "64/512/8/4", "32/256/8/2", "64/256/6/2", "64/512/8/4", "64/256/6/2")),
    "SimVP_gSTA": (
        "simvp:gsta",
        _stack("32/256/8/2", "64/512/8/4", "32/256/8/2", "64/256/6/2", "64/256/8/4", "64/256/6/2"),
    ),
    "SimVP_IncepU": (
        "simvp",
        _stack("32/256/8/2", "64/512/8/4", "32/256/8/2", "64/256/4/2", "64/512/6/4", "64/256/4/2"),
    ),
    "ConvLSTM": ("convlstm", PATCHES),
    "ConvLSTM-L": ("convlstm", WIDE),
    "PredRNN": ("predrnn", PATCHES),
    "PredRNNpp": ("predrnnpp", PATCHES),
    "PredRNNv2": ("predrnnv2", PATCHES),
    "MIM": ("mim", _each("patch", 2, 4, 4, 4, 4, 2)),
    "PhyDNet": ("phydnet", _each("patch", 2, 4, 2, 4, 4, 4)),
    "MAU": ("mau", _each("downsampling", 2, 4, 2, 2, 4, 2)),
    **{f"SimVP_{public}": (f"simvp:{own}", _metaformer(own)) for public, own in METAFORMERS.items()},
    "SwinLSTM_B": ("swinlstm:b", {"taxibj": {}, "mmnist": {}, "human": {}}),
    "SwinLSTM_D": ("swinlstm:d", {"mmnist": {}}),
}
STACKED = ("TAU", *(method for method in ROWS if method.startswith("SimVP")))


@dataclass(frozen=True)
class Row:
    """One row of the CSV with our settings for it."""

    dataset: str
    method: str

    @property
    def shape(self) -> ClipShape:
        shape = SHAPES[self.dataset]
        return shape.model_copy(update={"t_out": shape.t_in}) if self.method in STACKED else shape

    def build(self, device: str = "meta") -> Method:
        """The method in training mode, as the reference was counted; on "meta" it has shapes and no numbers."""
        name, settings = ROWS[self.method]
        with torch.device(device):
            return create_method(name, self.shape, **settings[self.dataset])

    def expected(self, shared_dir: Path) -> tuple[int, int]:
        """(parameters, multiply-adds) of the reference."""
        for path in sorted((shared_dir / "reference").glob("params_flops*.csv")):
            with path.open() as file:
                for row in csv.DictReader(file):
                    if (row["dataset"], row["method"]) == (self.dataset, self.method) and row["params"]:
                        return int(row["params"]), int(float(row["flops_measured"]))
        pytest.skip(f"no table has a row for {self.method} on {self.dataset}")

    def dead(self) -> int:
        """Parameters of the reference that its forward never uses, from the formulas of the cells."""
        _, settings = ROWS[self.method]
        hidden = settings[self.dataset].get("hidden", (128, 128, 128, 128))
        n, layers, k, c = hidden[0], len(hidden), 5, self.shape.channels
        match self.method:
            case "ConvLSTM" | "ConvLSTM-L":  # every cell's conv_o (2n -> n, k×k) and conv_last (2n -> n, 1×1)
                return layers * (2 * n * n * k * k + 2 * n * n)
            case "PredRNNpp":  # every cell's conv_o
                return layers * 2 * n * n * k * k
            case "MIM":  # every MIM-N's conv_last
                return (layers - 1) * 2 * n * n
            case "MAU":  # merge (2n -> n) and conv_last_sr (2C -> C), 1×1 with bias
                return (2 * 64 + 1) * 64 + (2 * c + 1) * c
            case "SwinLSTM_B":  # the input map of every block that reads one input (2d -> d)
                return 6 * (2 * 128 + 1) * 128
            case "SwinLSTM_D":  # the same, and the patch embedding of the way up
                reds = {128: 1, 256: 3 + 3, 512: 1}
                return sum(count * (2 * d + 1) * d for d, count in reds.items()) + (4 * c + 3) * 128
            case _:
                return 0
