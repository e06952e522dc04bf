"""Every benchmark that comes with stbench: complete, consistent with the published settings, readable without torch."""

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from stbench.data import (
    BENCHMARKS,
    DATASETS,
    card,
    dataset_spec,
    get_protocol,
    load_benchmark,
    needs_files,
    published_table,
)
from stbench.data.benchmarks.lookup import TEMPLATE, load_template
from stbench.data.benchmarks.overview import as_markdown
from stbench.errors import UserError
from stbench.nn import METHODS, check_presets, protocol_layers
from stbench.schema import Benchmark
from stbench.settings import resolve

MOVING = ["moving_digits", "mmnist", "mfmnist"]
WEATHER = ["weather_r", "weather_t2m", "weather_tcc", "weather_uv10"]
NAMES = [
    "human",
    "kitticaltech",
    "kth",
    "mfmnist",
    "mmnist",
    "moving_digits",
    "nyctaxi30",
    "taxibj",
    "taxinyc",
    *WEATHER,
]
FIELD = [  # of which no setting of a single method is published here
    "bair",
    "bikenyc",
    "kth40",
    "mmnist_cifar",
    "noisy_mmnist",
    "nycbike30",
    "sevir",
    "sevir_diffcast",
    "sevir_lr",
    "sevir_prediff",
    "weather_mv",
    "weather_t2m_1p40625",
]
EVERY = [*NAMES, *FIELD]
PROTOCOLS = ["paper", "legacy", "quick"]
# The published configurations; a whole comparison with their table is tests/methods/test_published_settings.py.
PLUGINS = ("tau", "simvp", "convlstm", "predrnn", "phydnet")
TRAFFIC_LR, DIGITS_LR = (5e-4, 1e-3, 5e-4, 1e-4, 5e-4), (1e-3, 1e-3, 5e-4, 5e-4, 1e-3)
PAPER_LR = {
    **dict.fromkeys(("taxibj", "taxinyc", "nyctaxi30"), TRAFFIC_LR),
    **dict.fromkeys(("mmnist", "moving_digits"), DIGITS_LR),
    "mfmnist": (1e-3, 1e-3, 5e-4, 5e-4, 5e-4),
    "kth": (1e-3, 1e-3, 1e-3, 1e-3, 1e-3),
    "kitticaltech": (1e-2, 5e-3, 5e-3, 1e-2, 5e-3),
    "human": (1e-3, 1e-3, 1e-4, 1e-4, 1e-4),
    "weather_r": (5e-3, 1e-3, 5e-4, 1e-3, 1e-4),
    "weather_t2m": (5e-3, 1e-2, 5e-4, 5e-4, 1e-4),
    "weather_tcc": (5e-4, 1e-2, 1e-4, 5e-4, 1e-4),
    "weather_uv10": (5e-3, 5e-3, 5e-4, 5e-4, 1e-3),
}


def test_all_are_declared():
    assert set(EVERY) <= set(BENCHMARKS.names())


@pytest.mark.parametrize("name", EVERY)
def test_name_and_protocols(name):
    benchmark = load_benchmark(name)
    assert isinstance(benchmark, Benchmark)
    assert benchmark.name == name
    assert set(PROTOCOLS) <= set(benchmark.protocols)
    selections = [get_protocol(benchmark, protocol).selection for protocol in PROTOCOLS]
    assert selections == ["validation", "test", "validation"]


def test_every_table_has_both_baselines():
    """Persistence first: skill is measured against it."""
    for benchmark in (*map(load_benchmark, EVERY), load_template()):
        for name, protocol in benchmark.protocols.items():
            assert protocol.baselines == ("persistence", "climatology"), (benchmark.name, name)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_reader_accepts_the_options(name, protocol):
    benchmark = load_benchmark(name)
    spec = dataset_spec(benchmark, get_protocol(benchmark, protocol))
    DATASETS.get(spec.reader).Options.parse(spec.options, name)


def test_only_the_embedded_digits_need_no_files():
    assert [name for name in EVERY if not needs_files(load_benchmark(name))] == ["moving_digits"]


@pytest.mark.parametrize("name", NAMES)
def test_published_learning_rates(name):
    benchmark = load_benchmark(name)
    for plugin, rate in zip(PLUGINS, PAPER_LR[name], strict=True):
        layers = protocol_layers(METHODS.get(plugin), plugin, benchmark, "paper", "training")
        assert resolve(layers).values["lr"] == rate, plugin


@pytest.mark.parametrize("name", ["taxibj", "taxinyc", "nyctaxi30"])
def test_published_traffic_training(name):
    training = load_benchmark(name).protocols["paper"].training
    assert (training.epochs, training.batch_size, training.clip_norm, training.precision) == (50, 16, None, "32")
    published = {"kind": "cosine", "warmup_epochs": 5, "warmup_lr": 1e-5, "min_lr": 1e-6}
    assert published.items() <= training.schedule.model_dump().items()


@pytest.mark.parametrize("name", MOVING)
def test_published_moving_images_training(name):
    benchmark = load_benchmark(name)
    training = benchmark.protocols["paper"].training
    assert (training.epochs, training.batch_size) == (200, 16)
    published = {"kind": "onecycle", "warmup": 0.3, "div": 25.0, "final_div": 1e4}
    assert published.items() <= training.schedule.model_dump().items()
    assert benchmark.dataset.options["train_clips"] == 10_000


@pytest.mark.parametrize("plugin", METHODS.names())
def test_methods_accept_their_presets(plugin):
    method = METHODS.get(plugin)
    check_presets(method, plugin)
    for name in NAMES:
        benchmark = load_benchmark(name)
        for protocol in benchmark.protocols:
            values, origins = resolve(protocol_layers(method, plugin, benchmark, protocol, "config"))
            method.Config.parse(values, f"{plugin}, {name}.{protocol}", origins)


def test_no_file_of_a_benchmark_names_a_trained_method():
    """A method's published settings are in its own folder; a benchmark may say how climatology reads its dates."""
    for benchmark in (*map(load_benchmark, EVERY), load_template()):
        for protocol in benchmark.protocols.values():
            assert set(protocol.methods) <= {"climatology"}, benchmark.name


@pytest.mark.parametrize("name", EVERY)
def test_card_says_what_a_user_needs(name):
    text = card(name)
    for heading in ("## Data", "## Splits", "## Getting it", "## Licence and citation", "## Published numbers"):
        assert heading in text, heading
    benchmark = load_benchmark(name)
    assert benchmark.units in text
    for file in benchmark.dataset.options.get("files", []):
        assert file in text or file[:2] in text or "*" in file


def test_the_readme_lists_every_benchmark_as_its_files_say():
    """``python scripts/benchmark_table.py`` prints the table anew."""
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    assert as_markdown(sorted(EVERY)) in readme
    assert set(EVERY) == {
        entry.name
        for entry in entry_points(group="stbench.benchmarks")
        if entry.value.startswith("stbench_benchmarks.") and entry.name not in BENCHMARKS.hidden
    }


def test_published_rows_name_source_and_convention():
    table = published_table("taxibj")
    assert table is not None
    assert {"plugin", "method", "table", "mse_frame", "mae_frame", "ssim_legacy", "psnr", "source", "flag"} <= set(
        table
    )
    assert table["source"].notna().all()
    assert table.loc[table["plugin"] == "tau", "mse_frame"].tolist() == [0.3108, 0.3108, 0.344, 0.344]
    assert published_table("moving_digits") is None
    assert published_table("taxinyc") is None


@pytest.mark.parametrize("name", ["mmnist", "mfmnist", "kth", "kitticaltech", "human", *WEATHER])
def test_published_tables_hold_tau_and_their_sources(name):
    table = published_table(name)
    assert table is not None
    assert table["source"].notna().all()
    assert (table["plugin"] == "tau").any()
    column = "mse_physical" if name in WEATHER else "mse_frame"
    assert table.loc[table["plugin"] == "tau", column].notna().any()


def test_the_template_of_own_data_has_no_legacy_protocol_and_is_no_benchmark():
    assert sorted(load_template().protocols) == ["paper", "quick"]
    assert TEMPLATE not in BENCHMARKS.names()
    with pytest.raises(UserError, match="is the template for data of your own"):
        load_benchmark(TEMPLATE)


def test_looking_benchmarks_up_imports_no_torch():
    code = (
        "import sys; from stbench.data import BENCHMARKS, card, load_benchmark\n"
        "for name in BENCHMARKS.names(): load_benchmark(name), card(name)\n"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
