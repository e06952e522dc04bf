"""The builders of tiny files (``<name>/data.py``) as fixtures."""

import importlib.util
import sys
from collections.abc import Iterator
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
coded_module = _load("tests_coded", HERE / "coded.py")


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Prepared frames of the tests go to a folder of their own."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("STBENCH_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def coded() -> ModuleType:
    return coded_module


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


@pytest.fixture(scope="session")
def kth() -> ModuleType:
    return _load("tests_kth", HERE / "kth" / "data.py")


@pytest.fixture(scope="session")
def kitticaltech() -> ModuleType:
    return _load("tests_kitticaltech", HERE / "kitticaltech" / "data.py")


@pytest.fixture(scope="session")
def human() -> ModuleType:
    return _load("tests_human", HERE / "human" / "data.py")


@pytest.fixture(scope="session")
def weather() -> ModuleType:
    return _load("tests_weather", HERE / "weather" / "data.py")
