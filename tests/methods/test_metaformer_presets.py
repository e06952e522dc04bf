"""Every translator recommends settings for every family."""

from __future__ import annotations

from stbench_methods.simvp.metaformer_presets import KINDS, LEARNING_RATES, METAFORMER_PRESETS


def test_every_translator_has_settings_for_every_family() -> None:
    for data in LEARNING_RATES:
        assert {f"{data}:{kind}" for kind in KINDS} <= set(METAFORMER_PRESETS["paper"])
