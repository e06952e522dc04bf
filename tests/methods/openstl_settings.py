"""OpenSTL's configurations, and their keys in a planned run."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from stbench.nn import sampling
from stbench.schema import RunSpec

DATASETS = {
    "taxibj": "taxibj",
    "mmnist": "mmnist",
    "mfmnist": "mfmnist",
    "kth": "kth",
    "kitticaltech": "kitticaltech",
    "human": "human",
    "weather_t2m": "weather/t2m_5_625",
    "weather_r": "weather/r_5_625",
    "weather_uv10": "weather/uv10_5_625",
    "weather_tcc": "weather/tcc_5_625",
}
"""Benchmark -> the folder of its configurations."""

TABLES = {"kth": "kth20", "human": "human"}
"""Benchmarks whose published table says on how many devices a method was trained -> that table."""

METHODS = {
    "ConvLSTM": ("convlstm", "ConvLSTM-S"),
    "PredRNN": ("predrnn", "PredRNN"),
    "PredRNNpp": ("predrnnpp", "PredRNN++"),
    "PredRNNv2": ("predrnnv2", "PredRNN.V2"),
    "MIM": ("mim", "MIM"),
    "MAU": ("mau", "MAU"),
    "PhyDNet": ("phydnet", "PhyDNet"),
    "SimVP_IncepU": ("simvp", "SimVP+IncepU"),
    "SimVP_gSTA": ("simvp:gsta", "SimVP+gSTA-S"),
    "SimVP_ViT": ("simvp:vit", "ViT"),
    "SimVP_Swin": ("simvp:swin", "Swin Transformer"),
    "SimVP_Uniformer": ("simvp:uniformer", "Uniformer"),
    "SimVP_MLPMixer": ("simvp:mlp", "MLP-Mixer"),
    "SimVP_ConvMixer": ("simvp:convmixer", "ConvMixer"),
    "SimVP_Poolformer": ("simvp:poolformer", "Poolformer"),
    "SimVP_ConvNeXt": ("simvp:convnext", "ConvNeXt"),
    "SimVP_VAN": ("simvp:van", "VAN"),
    "SimVP_HorNet": ("simvp:hornet", "HorNet"),
    "SimVP_MogaNet": ("simvp:moga", "MogaNet"),
    "TAU": ("tau", "TAU"),
}
"""Configuration -> the method here, and its row in the published tables."""

DEFAULTS = {"lr": "1e-3", "sched": "onecycle", "warmup_epoch": "0", "batch_size": "16", "drop_path": "0"}
"""What the library takes where a configuration is silent; of the schedule, unless the weights' names say another."""

IGNORED = {
    "method": "it names the configuration",
    "val_batch_size": "no number depends on the batch that is scored",
    "drop_last": "every clip counts; its reason, MIM's state of the batch before, does not exist here",
}
"""Keys that are no setting here, and why."""


@dataclass(frozen=True)
class Configuration:
    """One published configuration: ``values`` by key, defaults included; ``epochs`` of its released weights."""

    benchmark: str
    name: str
    method: str
    values: Mapping[str, str]
    epochs: frozenset[int]


def configurations(shared: Path, benchmark: str) -> Iterator[Configuration]:
    """All published configurations for a benchmark, of methods that are here."""
    rows = [row for row in _rows(shared, "openstl_settings") if row["dataset"] == DATASETS[benchmark]]
    for name in sorted({row["config"] for row in rows} & METHODS.keys()):
        method, printed = METHODS[name]
        given = {row["key"]: row["value"] for row in rows if row["config"] == name}
        weights = [row for row in _rows(shared, "openstl_weights") if row["stbench_benchmark"] == benchmark]
        released = [row for row in weights if row["stbench_method"] == _with_translator(method)]
        told = {"sched": released[0]["schedule"].lower()} if released else {}
        values = {**DEFAULTS, **told, **given}
        if benchmark in TABLES:
            values["batch_size"] = _global_batch(shared, benchmark, printed, values["batch_size"])
        yield Configuration(benchmark, name, method, values, frozenset(int(row["epochs"]) for row in released))


def differences(published: Configuration, spec: RunSpec) -> dict[str, tuple[str, Any]]:
    """Keys whose published value a run does not have -> (published, the run's)."""
    assert spec.training is not None
    found: dict[str, tuple[str, Any]] = {}
    for key, text in published.values.items():
        if key in IGNORED:
            continue
        read = READERS.get(key)
        ours = read(spec) if read is not None else f"no setting {key!r} here"
        if ours != _value(text):
            found[key] = (text, ours)
    if published.epochs and spec.training.epochs not in published.epochs:
        found["epochs"] = (str(sorted(published.epochs)), spec.training.epochs)
    return found


def _rows(shared: Path, name: str) -> list[dict[str, str]]:
    with (shared / "published" / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _with_translator(method: str) -> str:
    return "simvp:inception" if method == "simvp" else method


def _global_batch(shared: Path, benchmark: str, printed: str, of_one: str) -> str:
    """Devices times clips of each, as the table states; the configuration's, where the table has no such row."""
    stated = [row["gpus"] for row in _rows(shared, f"openstl_{TABLES[benchmark]}") if row["method"] == printed]
    return str(prod(int(number) for number in stated[0].split("xbs"))) if stated else of_one


def _value(text: str) -> Any:
    """A configuration's text as a number, a tuple of numbers, or lower-case text."""
    parts = text.split(",")
    try:
        numbers = tuple(float(part) for part in parts)
    except ValueError:
        return text.lower()
    return numbers if len(numbers) > 1 else numbers[0]


def _config(name: str) -> Callable[[RunSpec], Any]:
    """Read a hyperparameter; None where the method has none of this name."""

    def read(spec: RunSpec) -> Any:
        value = spec.config.get(name)
        return tuple(float(v) for v in value) if isinstance(value, list | tuple) else value

    return read


def _training(read: Callable[[Any], Any]) -> Callable[[RunSpec], Any]:
    return lambda spec: read(spec.training)


READERS: dict[str, Callable[[RunSpec], Any]] = {
    "lr": _training(lambda training: training.lr),
    "batch_size": _training(lambda training: training.batch_size),
    "sched": _training(lambda training: training.schedule.kind),
    "warmup_epoch": _training(lambda training: getattr(training.schedule, "warmup_epochs", 0)),
    "drop_path": lambda spec: spec.config.get("drop_path", 0),
    "hid_S": _config("hid_s"),
    "hid_T": _config("hid_t"),
    "N_S": _config("n_s"),
    "N_T": _config("n_t"),
    "spatio_kernel_enc": _config("kernel_enc"),
    "spatio_kernel_dec": _config("kernel_dec"),
    "model_type": lambda spec: spec.config.get("translator", spec.plugin).replace("inception", "incepu"),
    "alpha": _config("ddr_weight"),
    "num_hidden": _config("hidden"),
    "filter_size": _config("kernel"),
    "patch_size": lambda spec: spec.config.get("patch", 1),
    "sr_size": _config("downsampling"),
    "tau": _config("window"),
    "layer_norm": lambda spec: float(spec.config.get("layer_norm", False)),
    "stride": lambda spec: spec.config.get("stride", 1),
    "decouple_beta": _config("decouple_weight"),
    "cell_mode": lambda spec: "residual" if spec.config["residual"] else "normal",
    "model_mode": lambda spec: "recall" if spec.config["recall"] else "normal",
    "scheduled_sampling": lambda spec: float(spec.config["sampling"] != "none"),
    "reverse_scheduled_sampling": lambda spec: float(spec.config["sampling"] == "reverse"),
    "sampling_stop_iter": lambda _: sampling.SCHEDULED_STOP,
    "sampling_start_value": lambda _: sampling.scheduled_rate(0),
    "sampling_changing_rate": lambda _: sampling.DECAY_PER_STEP,
    "r_sampling_step_1": lambda _: sampling.REVERSE_HOLD,
    "r_sampling_step_2": lambda _: sampling.REVERSE_STOP,
    "r_exp_alpha": lambda _: sampling.REVERSE_SCALE,
}
"""Key of a configuration -> the value that a run has for it."""
