"""``stbench data get`` of every benchmark with a link, then ``check``, ``preview`` and a ``quick`` run on what arrived.

A server on this machine has tiny archives in the real layout behind redirects. Mirrors, broken connections and
damage are in test_get.py.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from stbench import UserError
from stbench.cli.app import app
from stbench.data import BENCHMARKS
from stbench.data.benchmarks import download_list
from stbench.data.benchmarks.download_list import Download
from stbench.fetch import transfer
from stbench.schema.folder import RunFolder
from tests import fixtures
from tests.support.web import Web, serving

TINY = ("dataset.md5=null", "dataset.val_images=8", "dataset.val_clips=8", "dataset.test_clips=8")
SETTINGS: dict[str, tuple[str, ...]] = {
    "mmnist": TINY,
    "mfmnist": TINY,
    "noisy_mmnist": TINY,
    "mmnist_cifar": (*TINY, "dataset.backgrounds.val_pictures=8"),
    "taxibj": ("dataset.split={kind: last_windows, test: 100}",),
    "weather_mv": ("dataset.split={kind: year, train: [1980, 1980], val: [2016, 2016], test: [2017, 2017]}",),
}
"""What tiny files need: fewer clips, other hashes, the years that they have."""
SOURCE = {"kth": "films", "kth40": "films", "kitticaltech": "drives"}
"""The form of the data that the tiny files are in."""
BEGINS = {"data_and_labels.zip": "set", "cifar-10-binary.tar.gz": "cifar-10"}
"""Archive -> how the names of the files in it begin, where that is not the archive's name."""
VIDEO = ("bair", "human", "kitticaltech", "kth", "kth40", "mfmnist", "mmnist", "mmnist_cifar", "noisy_mmnist")
SEVIR = ("sevir", "sevir_diffcast", "sevir_lr", "sevir_prediff")
WEATHER = ("weather_mv", "weather_r", "weather_t2m", "weather_t2m_1p40625", "weather_tcc", "weather_uv10")
LINKED = (*VIDEO, *SEVIR, *WEATHER, "taxibj", "taxinyc")
CHEAP = ("human", "mmnist", "taxinyc", "taxibj")


def test_every_benchmark_with_a_link_is_tried() -> None:
    assert {name for name in BENCHMARKS.names() if any(i.urls for i in download_list.downloads_of(name))} == set(LINKED)


def packed(name: str, files: Sequence[tuple[str, Path]]) -> bytes:
    """An archive of the kind that its name says (``.npy.tar`` of CIFAR is gzipped all the same)."""
    stream = io.BytesIO()
    if name.endswith(".zip"):
        with zipfile.ZipFile(stream, "w") as made:
            for inside, path in files:
                made.write(path, inside)
    else:
        with tarfile.open(fileobj=stream, mode="w:gz" if name.endswith(".gz") else "w") as made:
            for inside, path in files:
                made.add(path, inside)
    return stream.getvalue()


def members(item: Download, items: Sequence[Download], source: Path) -> list[tuple[str, Path]]:
    """The files of an archive: all where it is the only one, else those that begin as it is named."""
    plain = {other.file for other in items if other.unpack is None}
    files = [path for path in sorted(source.rglob("*")) if path.is_file() and path.name not in plain]
    stem = item.file.partition("_5.625deg")[0].partition(".")[0]
    begins = BEGINS.get(item.file, f"{stem}_")
    if sum(other.unpack is not None for other in items) > 1:
        files = [p for p in files if any(f"{part}_".startswith(begins) for part in p.relative_to(source).parts)]
    if item.file == f"{item.unpack}.tar":  # Human3.6M: a folder for each subject
        return [(f"{stem}/{path.name}", path) for path in files]
    return [(path.relative_to(source).as_posix(), path) for path in files]


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setattr(transfer, "PAUSE", 0.0)
    with serving() as made:
        yield made


def offer(name: str, web: Web, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write tiny files of a benchmark, and serve them as its list of downloads has them, without their hashes."""
    fixtures.write(name, source)
    real = download_list.of_source(download_list.downloads_of(name), SOURCE.get(name))
    items = []
    for item in real:
        changes = {"hashes": (), "mirrors": (), "size": None, "url": f"{web.url}/go/{item.file}"}
        if item.listed is not None:
            changes["url"] = f"{web.url}/{item.file}"
            web.files |= {p.relative_to(source).as_posix(): p.read_bytes() for p in source.rglob("*.h5")}
        elif item.unpack is not None:
            files = members(item, real, source)
            if not files and not item.optional:
                continue  # one of many recordings, of which the tiny files have a few
            if files:
                web.files[f"signed/{item.file}"] = packed(item.file, files)
        else:
            found = next(source.rglob(item.file), None)
            if found is not None:
                web.files[f"signed/{item.file}"] = found.read_bytes()
        web.moved[f"go/{item.file}"] = f"signed/{item.file}"
        items.append(item.model_copy(update=changes))
    monkeypatch.setattr(download_list, "downloads_of", lambda _: tuple(items))


def invoke(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert not isinstance(result.exception, UserError), result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in CHEAP else pytest.mark.slow) for name in LINKED]
)
def test_get_check_and_preview(name: str, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STBENCH_CACHE", str(tmp_path / "cache"))
    offer(name, web, tmp_path / "source", monkeypatch)
    place = ("--data-dir", tmp_path / "data")
    source = ("--source", SOURCE[name]) if name in SOURCE else ()
    got = invoke("data", "get", name, *place, *source)
    assert "To download into" in " ".join(got.split())
    assert (tmp_path / "data" / download_list.owner_of_downloads(name) / "downloads.lock.json").is_file()
    sets = [part for setting in SETTINGS.get(name, ()) for part in ("--set", setting)]
    checked = invoke("data", "check", name, "--protocol", "quick", *place, *sets)
    assert "all checks passed" in checked
    assert "BAD" not in checked
    invoke("data", "preview", name, "--protocol", "quick", *place, *sets, "--out", tmp_path / "preview")
    with Image.open(tmp_path / "preview" / f"{name}.png") as sheet:
        assert len(sheet.convert("L").getcolors(1 << 20) or ()) > 20


@pytest.mark.slow
@pytest.mark.parametrize("name", LINKED)
def test_get_and_a_quick_run_in_one_command(
    name: str, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STBENCH_CACHE", str(tmp_path / "cache"))
    offer(name, web, tmp_path / "source", monkeypatch)
    sets = [part for setting in SETTINGS.get(name, ()) for part in ("--set", setting)]
    if name in SOURCE:
        invoke("data", "get", name, "--source", SOURCE[name], "--data-dir", tmp_path / "data")
    small = ("--set", "training.train_clips=4", "--set", "convlstm.hidden=[4]")
    options = ("--protocol", "quick", "--device", "cpu", "--epochs", 1, *small)
    place = ("--data-dir", tmp_path / "data", "--out", tmp_path / "out")
    invoke("run", "-m", "convlstm", "-d", name, "--download", *options, *sets, *place)
    runs = {RunFolder(path).spec().method: RunFolder(path) for path in (tmp_path / "out" / "runs").glob("*")}
    assert set(runs) == {"persistence", "climatology", "convlstm"}
    assert all(run.result().status == "finished" and run.result().test_clips > 0 for run in runs.values())
