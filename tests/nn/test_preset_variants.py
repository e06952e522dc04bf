"""Settings that a method recommends for one of its variants."""

from __future__ import annotations

from stbench.data.benchmarks.lookup import load_benchmark
from stbench.nn import Method
from stbench.nn.presets import preset


class Recommending(Method):
    presets = {
        "paper": {
            "*": {"training": {"lr": 1e-1}},
            "traffic:wide": {"training": {"lr": 1e-2}},
            "taxibj": {"training": {"lr": 1e-3, "batch_size": 4}},
            "taxibj:deep": {"training": {"lr": 1e-4}},
        }
    }


def test_a_variant_s_settings_win_over_the_method_s() -> None:
    taxibj = load_benchmark("taxibj")
    seen = {
        name: dict(preset(Recommending, name, taxibj, "paper").training)
        for name in ("mine", "mine:wide", "mine:wide:deep", "mine:other")
    }
    assert seen == {
        "mine": {"lr": 1e-3, "batch_size": 4},
        "mine:wide": {"lr": 1e-2, "batch_size": 4},
        "mine:wide:deep": {"lr": 1e-4, "batch_size": 4},
        "mine:other": {"lr": 1e-3, "batch_size": 4},
    }
