"""Hyperparameters of SimVP."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt

from stbench.nn import EncoderConfig

Rate = Annotated[float, Field(ge=0, lt=1)]
PUBLIC_NAMES = {"incepu": "inception", "mlpmixer": "mlp", "moganet": "moga"}
"""Names of translators in published configurations that differ from ours."""


def _own_name(translator: Any) -> Any:
    """Return our name of a translator; letter case does not matter."""
    if not isinstance(translator, str):
        return translator
    return PUBLIC_NAMES.get(translator.lower(), translator.lower())


Translator = Annotated[
    Literal[
        "inception",
        "gsta",
        "vit",
        "swin",
        "uniformer",
        "mlp",
        "convmixer",
        "poolformer",
        "convnext",
        "van",
        "hornet",
        "moga",
    ],
    BeforeValidator(_own_name),
]


class SimVPConfig(EncoderConfig):
    """Hyperparameters of SimVP.

    ``kernels`` and ``groups`` apply to the inception translator; ``mlp_ratio``, ``drop`` and ``drop_path`` to all
    others, except that ConvMixer ignores these three, and ConvNeXt and HorNet ignore ``drop``.
    """

    translator: Translator = "inception"
    hid_s: PositiveInt = 32
    hid_t: PositiveInt = 256
    n_s: PositiveInt = 2
    n_t: PositiveInt = 8
    kernels: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (3, 5, 7, 11)
    groups: PositiveInt = 8
    mlp_ratio: PositiveFloat = 8.0
    drop: Rate = 0.0
    drop_path: Rate = 0.1
