"""Damaged and hand-edited copies of files, for fuzzing readers: deterministic by seed."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import yaml

ODD: tuple[Any, ...] = (
    *(None, True, "", "x", "\x1b[31m", "[/red]", "=1+1", "../../x", "é" * 300, "\ud800", "1e999", "2026-13-45"),
    *(0, -1, 3, 2**31, 2**63, 10**30, -0.0, 1e-300, 1e308, float("nan"), float("inf"), -float("inf")),
    *([], {}, [[]], [None], {"": {}}, {"kind": "cosine"}, ["x"] * 50, [1, 2, 3], {"a": {"b": {"c": []}}}),
)
BYTES = (
    b"\x00",
    b"\xff" * 8,
    b"\x7f\xff\xff\xff",
    b"{" * 3000,
    b"[" * 3000,
    b"&a [*a, *a]",
    b"NaN",
    b"\r\n",
    b"PK\x03\x04",
)


def damaged(content: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """Copies with flipped, cut, repeated, overwritten or inserted bytes."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        made = bytearray(content)
        start, stop = sorted(rng.integers(0, len(made) + 1, 2).tolist())
        match number % 6:
            case 0:
                for at in rng.integers(0, len(made), 1 + int(rng.integers(8))):
                    made[at] ^= 1 << int(rng.integers(8))
            case 1:
                del made[start:]
            case 2:
                del made[start : min(stop, start + 64)]
            case 3:
                made[start:start] = made[start : min(stop, start + 64)]
            case 4:
                token = BYTES[int(rng.integers(len(BYTES)))]
                made[start : start + len(token)] = token
            case _:
                made[start:start] = BYTES[int(rng.integers(len(BYTES)))]
        yield bytes(made)


def edited(values: Any, count: int, seed: int = 0) -> Iterator[Any]:
    """Copies of nested mappings and lists in which one value is another one, gone, or twice there."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        made = copy.deepcopy(values)
        places = list(_places(made))
        holder, key = places[int(rng.integers(len(places)))]
        match number % 4:
            case 0 if isinstance(holder, dict):
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[f"{key}x"] = ODD[int(rng.integers(len(ODD)))]
            case 2 if isinstance(holder, list):
                holder.append(holder[key])
            case _:
                holder[key] = ODD[int(rng.integers(len(ODD)))]
        yield made


def _places(values: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of nested mappings and lists."""
    pairs = list(values.items()) if isinstance(values, dict) else list(enumerate(values))
    for key, value in pairs:
        yield values, key
        if isinstance(value, dict | list):
            yield from _places(value)


def edited_text(content: bytes, name: str, count: int, seed: int = 0) -> Iterator[bytes]:
    """Edited copies of a YAML, JSON or JSON-lines file."""
    if name.endswith(".jsonl"):
        for rows in edited([json.loads(line) for line in content.decode().splitlines()], count, seed):
            yield "".join(json.dumps(row) + "\n" for row in rows).encode()
    elif name.endswith(".json"):
        for values in edited(json.loads(content), count, seed):
            yield json.dumps(values).encode()
    else:
        for values in edited(yaml.safe_load(content), count, seed):
            yield yaml.safe_dump(values, allow_unicode=True, sort_keys=False).encode("utf-8", "surrogatepass")
