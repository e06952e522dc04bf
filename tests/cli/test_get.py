"""``stbench data get`` and ``run --download`` against a server on this machine."""

from __future__ import annotations

import io
import json
import re
import shutil
import zipfile
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from stbench import UserError
from stbench.cli import getting
from stbench.cli.app import app
from stbench.data.benchmarks import download_list
from stbench.data.benchmarks.download_list import Download
from stbench.fetch import transfer
from tests import fixtures
from tests.support.web import Web, serving

USAGE = namedtuple("USAGE", "total used free")


def zipped(folder: Path) -> bytes:
    """A zip of everything in a folder."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                made.write(path, path.relative_to(folder))
    return stream.getvalue()


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A server that has TaxiBJ's archive behind a redirect; its first address fails."""
    monkeypatch.setattr(transfer, "PAUSE", 0.0)
    with serving() as made:
        made.failing["first.zip"] = 404
        made.moved["second.zip"] = "signed/x.zip"
        source = tmp_path / "source"
        source.mkdir()
        fixtures.window_npz.write(source, (2, 32, 32))
        made.files["signed/x.zip"] = zipped(source)
        (item,) = download_list.downloads_of("taxibj")
        item = item.model_copy(update={"url": f"{made.url}/first.zip", "mirrors": (f"{made.url}/second.zip",)})
        monkeypatch.setattr(download_list, "downloads_of", lambda name: (item,))
        yield made


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(*arguments: object) -> str:
    result = invoke(*arguments)
    assert isinstance(result.exception, UserError), result.output
    return str(result.exception)


def test_get_and_run_in_one_go(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STBENCH_CACHE", str(tmp_path / "cache"))
    web.breaks = 1
    run = ("run", "-m", "persistence", "-d", "taxibj", "--protocol", "quick", "--data-dir", tmp_path, "--device", "cpu")
    done = invoke(*run, "--out", tmp_path / "out", "--download")
    assert done.exit_code == 0, done.output
    assert re.search(r"To download into .*taxibj: 1 file, [\d.]+ [kM]B", " ".join(done.output.split()))
    assert "taxibj_dataset.zip: unpacked" in done.output
    result = next((tmp_path / "out" / "runs").glob("*persistence*/result.json"))
    assert "dataset.npz" in json.loads(result.read_text())["data_report"]
    entry = json.loads((tmp_path / "taxibj" / "downloads.lock.json").read_text())["taxibj_dataset.zip"]
    assert entry["origin"] == f"{web.url}/second.zip"
    asked = len(web.asked)
    assert invoke(*run, "--out", tmp_path / "out", "--download").exit_code == 0
    assert len(web.asked) == asked  # what is here is not fetched again


def test_a_missing_file_ends_with_the_command_that_gets_it(tmp_path: Path) -> None:
    said = refused("data", "check", "taxibj", "--data-dir", tmp_path / "my data")
    assert said.endswith(f"stbench data get taxibj --data-dir '{tmp_path}/my data'")


def test_another_file_than_at_the_first_download_is_refused(web: Web, tmp_path: Path) -> None:
    assert invoke("data", "get", "taxibj", "--data-dir", tmp_path).exit_code == 0
    (tmp_path / "taxibj" / "dataset.npz").write_bytes(b"spoiled")
    checked = invoke("data", "check", "taxibj", "--data-dir", tmp_path)
    assert "BAD  content of taxibj_dataset.zip: dataset.npz gone or of another size" in checked.output
    web.files["signed/x.zip"] += b"\0"
    web.tag = '"two"'
    said = refused("data", "get", "taxibj", "--data-dir", tmp_path)
    assert "at the first download" in said
    assert "downloads.lock.json" in said
    assert (tmp_path / "taxibj" / "dataset.npz").read_bytes() == b"spoiled"


def test_a_zip_with_a_path_outside_unpacks_nothing(web: Web, tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        made.writestr("dataset.npz", b"x")
        made.writestr("../evil", b"x")
    web.files["signed/x.zip"] = stream.getvalue()
    assert "'../evil' lies outside the folder" in refused("data", "get", "taxibj", "--data-dir", tmp_path)
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "taxibj" / "dataset.npz").exists()


def test_a_full_disk_is_said_before_anything_is_fetched(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: USAGE(10, 10, 100))
    assert "100 bytes left" in refused("data", "get", "taxibj", "--data-dir", tmp_path)
    assert not (tmp_path / "taxibj").exists()


def test_much_is_downloaded_only_with_consent(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getting, "LARGE", 100)
    assert "Repeat the command with --yes" in refused("data", "get", "taxibj", "--data-dir", tmp_path)
    assert not (tmp_path / "taxibj").exists()
    assert invoke("data", "get", "taxibj", "--data-dir", tmp_path, "--yes").exit_code == 0


def test_plain_http_needs_a_hash_or_consent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    item = Download(file="a.npy", url="http://example.org/a.npy", mirrors=("http://example.net/a.npy",))
    monkeypatch.setattr(download_list, "downloads_of", lambda name: (item,))
    monkeypatch.setattr("stbench.data.benchmarks.downloads.remote_length", lambda url: None)
    said = refused("data", "get", "taxibj", "--data-dir", tmp_path)
    assert said.count("is plain http and no hash of the file is published") == 2
    assert "--allow-http" in said


def test_tables_name_further_files(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalogue first, then the files of the rows that are needed, each once."""
    rows = ["file_name,img_type", "vil/a.h5,vil", "vil/a.h5,vil", "ir/b.h5,ir069"]
    web.files |= {"CATALOG.csv": "\n".join(rows).encode(), "data/vil/a.h5": b"vil"}
    listed = {"table": "CATALOG.csv", "column": "file_name", "where": {"img_type": "vil"}}
    items = (
        Download(file="CATALOG.csv", url=f"{web.url}/CATALOG.csv"),
        Download.parse({"file": "data/{}", "url": f"{web.url}/data/{{}}", "listed": listed}, "test"),
    )
    monkeypatch.setattr(download_list, "downloads_of", lambda name: items)
    assert invoke("data", "get", "taxibj", "--data-dir", tmp_path).exit_code == 0
    assert (tmp_path / "taxibj" / "data" / "vil" / "a.h5").read_bytes() == b"vil"
    assert not (tmp_path / "taxibj" / "data" / "ir").exists()
    web.files["CATALOG.csv"] = b"file_name,img_type\n../../evil,vil\n"
    shutil.rmtree(tmp_path / "taxibj")
    assert "lies outside the folder" in refused("data", "get", "taxibj", "--data-dir", tmp_path)
