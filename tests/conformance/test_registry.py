"""Every registered method passes every check, one test per pair."""

from __future__ import annotations

import pytest

from stbench.conformance import CHECKS, Check, Status, Subject, conformance_tests, run_check
from stbench.nn import METHODS, EncoderConfig

TRAINED = [name for name in METHODS.names() if METHODS.get(name).paper is not None]
VARIANTS = [f"{name}:{variant}" for name in TRAINED for variant in METHODS.get(name).variants]
SHARED = [
    name
    for name in TRAINED
    if issubclass(METHODS.get(name).Config, EncoderConfig) and name not in ("tau", "simvp")  # on it by themselves
]


def assert_kept(check: Check, subject: Subject) -> None:
    outcome = run_check(check, subject)
    if outcome.status is Status.NOT_APPLICABLE:
        pytest.skip(outcome.seen)
    assert outcome.status is Status.PASSED, str(outcome)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
@pytest.mark.parametrize("name", METHODS.names())
def test_method(name: str, check: Check) -> None:
    assert_kept(check, Subject.of(name))


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
@pytest.mark.parametrize("name", VARIANTS)
def test_variant(name: str, check: Check) -> None:
    assert_kept(check, Subject.of(name))


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
@pytest.mark.parametrize("name", SHARED)
def test_method_on_the_shared_encoder(name: str, check: Check) -> None:
    settings = {"encoder": "shared", "hid_s": 32 if name == "phydnet" else 8}
    assert_kept(check, Subject.of(name, settings=settings))


@pytest.mark.parametrize("name", TRAINED)
def test_a_trained_method_declares_cheap_settings(name: str) -> None:
    method = Subject.of(name).build()
    assert METHODS.get(name).small
    assert sum(p.numel() for p in method.parameters()) < 1_000_000


test_one_line_in_a_plugin_s_test_file = conformance_tests("persistence", checks=CHECKS[:4])
