"""Packages whose names load on first use."""

import subprocess
import sys
from importlib import import_module

import pytest

PACKAGES = ["stbench", "stbench.data", "stbench.metrics"]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_there_and_listed(package: str) -> None:
    module = import_module(package)
    assert set(module.__all__) <= set(dir(module))
    assert all(getattr(module, name) is not None for name in module.__all__)
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nothing'"):
        _ = module.nothing


def test_listing_the_names_imports_no_torch() -> None:
    listing = f"import sys\nfor name in {PACKAGES}: __import__(name); dir(sys.modules[name])\n"
    code = listing + "assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
