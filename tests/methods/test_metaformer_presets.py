"""The translators' presets equal the published configurations, key by key."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from stbench_methods.simvp.metaformer_presets import KINDS, METAFORMER_PRESETS

from tests.methods.published import METAFORMERS

DATA = {
    "taxibj": "traffic",
    "mmnist": "moving_images",
    "mfmnist": "mfmnist",
    "kth": "video",
    "kitticaltech": "kitticaltech",
    "human": "human",
    "weather/t2m_5_625": "weather",
    "weather/r_5_625": "weather_r",
    "weather/uv10_5_625": "weather_uv10",
    "weather/tcc_5_625": "weather_tcc",
}
USUAL_BATCH = 16
SIZES = {"video": {"n_t": 6, "hid_t": 256}, "human": {"n_t": 8, "hid_t": 512}}
SIZES["kitticaltech"] = SIZES["video"]


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("kind", METAFORMERS)
def test_a_preset_is_the_published_configuration(kind: str, data: str, shared_dir: Path) -> None:
    with (shared_dir / "published" / "openstl_settings.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["dataset"] == data]
    published = {row["key"]: row["value"] for row in rows if row["config"].casefold() == f"simvp_{kind}".casefold()}
    if not published:
        pytest.skip(f"no published configuration of {kind} on {data}")
    key, own = DATA[data], METAFORMERS[kind]
    seen = METAFORMER_PRESETS["paper"][f"{key}:{own}"]
    family = METAFORMER_PRESETS["paper"].get(f"video:{own}", {}) if key == "kitticaltech" else {}
    sizes = {**SIZES.get(key, {}), **family.get("config", {}), **seen["config"]}
    assert seen["training"]["lr"] == float(published.get("lr", seen["training"]["lr"]))
    assert sizes["drop_path"] == float(published["drop_path"])
    assert seen["training"].get("batch_size", USUAL_BATCH) == int(published["batch_size"])
    for own_name, name in (("n_t", "N_T"), ("hid_t", "hid_T")):
        if own_name in sizes:
            assert sizes[own_name] == int(published[name])


def test_every_translator_has_settings_for_every_family() -> None:
    for data in DATA.values():
        assert {f"{data}:{kind}" for kind in KINDS} <= set(METAFORMER_PRESETS["paper"])
