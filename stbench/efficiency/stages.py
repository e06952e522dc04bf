"""Time split of a prediction: frame encoder, temporal module, frame decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

from stbench.efficiency.records import Stages
from stbench.efficiency.sampling import Clock
from stbench.nn import Method

NAMES = ("encoder", "decoder")
_CODEC_CALLS = {"encoder": "encode", "decoder": "decode"}


def has_stages(method: Method) -> bool:
    """Return whether a method has a frame encoder and decoder that :func:`split_time` can find."""
    return all(_target(method, name) is not None for name in NAMES)


def split_time(method: Method, predict: Callable[[], object], clock: Clock, repeats: int) -> Stages:
    """Split the time of ``repeats`` predictions of a method with ``encoder`` and ``decoder``, or a ``codec``."""
    spent = dict.fromkeys(NAMES, 0.0)
    predict()
    with ExitStack() as stack:
        for name in NAMES:
            stack.enter_context(_timed(method, name, spent, clock))
        started = clock.now()
        for _ in range(repeats):
            predict()
        whole = clock.now() - started
    encoder, decoder = (spent[name] / whole for name in NAMES)
    return Stages(encoder=encoder, temporal=1.0 - encoder - decoder, decoder=decoder)


def _target(method: Method, stage: str) -> tuple[Any, str] | None:
    """Return the object and attribute whose calls form a stage."""
    if isinstance(getattr(method, stage, None), nn.Module):
        return getattr(method, stage), "forward"
    codec = getattr(method, "codec", None)
    return (codec, _CODEC_CALLS[stage]) if callable(getattr(codec, _CODEC_CALLS[stage], None)) else None


@contextmanager
def _timed(method: Method, stage: str, spent: dict[str, float], clock: Clock) -> Iterator[None]:
    """Add the time of every call of a stage to ``spent``."""
    target = _target(method, stage)
    assert target is not None, "ask has_stages first"
    owner, attribute = target
    call = getattr(owner, attribute)

    def timed(*arguments: Any) -> Any:
        started = clock.now()
        result = call(*arguments)
        spent[stage] += clock.now() - started
        return result

    setattr(owner, attribute, timed)
    try:
        yield
    finally:
        delattr(owner, attribute)
