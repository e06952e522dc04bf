"""Examples in docstrings are run."""

import doctest
import pkgutil
from importlib import import_module

import pytest
import stbench_methods

import stbench

MODULES = sorted(
    module.name
    for package in (stbench, stbench_methods)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    failed, _ = doctest.testmod(import_module(name))
    assert failed == 0


def test_there_are_some() -> None:
    finder = doctest.DocTestFinder()
    found = [test for name in MODULES for test in finder.find(import_module(name)) if test.examples]
    assert len(found) > 10
