from collections.abc import Iterator
from pathlib import Path

import pytest

from stbench.metrics import perceptual, trunks


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Weights come from what a test makes: an empty hub cache, a server that is a folder, no package index."""
    monkeypatch.delenv(trunks.ENV, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(trunks, "DOWNLOAD_SERVER", (tmp_path / "server").as_uri())
    perceptual._load.cache_clear()
    yield tmp_path
    perceptual._load.cache_clear()
