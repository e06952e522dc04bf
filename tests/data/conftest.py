"""The builders of tiny files (``<name>/data.py``) as fixtures."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent


def _load(name: str, path: Path) -> ModuleType:
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


layout_module = _load("tests_flow_layout", HERE / "flow_layout.py")


@pytest.fixture(scope="session")
def layout() -> ModuleType:
    return layout_module


@pytest.fixture(scope="session")
def taxibj() -> ModuleType:
    return _load("tests_taxibj", HERE / "taxibj" / "data.py")


@pytest.fixture(scope="session")
def taxinyc() -> ModuleType:
    return _load("tests_taxinyc", HERE / "taxinyc" / "data.py")


@pytest.fixture(scope="session")
def prepared() -> ModuleType:
    return _load("tests_prepared", HERE / "prepared" / "data.py")


@pytest.fixture(scope="session")
def mmnist() -> ModuleType:
    return _load("tests_mmnist", HERE / "mmnist" / "data.py")


@pytest.fixture(scope="session")
def nyctaxi30() -> ModuleType:
    return _load("tests_nyctaxi30", HERE / "nyctaxi30" / "data.py")
