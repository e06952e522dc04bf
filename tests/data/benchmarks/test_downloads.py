"""Fetching: from a folder, from a server that breaks off, without a network, and with wrong content."""

import errno
import hashlib
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from stbench.data import BENCHMARKS, load_benchmark, needs_files
from stbench.data.benchmarks.download_list import Download, downloads_of, owner_of_downloads
from stbench.data.benchmarks.downloads import fetch
from stbench.data.dataset import reader_options
from stbench.errors import UserError
from stbench.sweep.plan import Request, make_plan

CONTENT = bytes(range(256)) * 4096


def silent(*_):
    pass


def item(**changes):
    values = {"file": "a.bin", "hashes": (f"sha256:{hashlib.sha256(CONTENT).hexdigest()}",)}
    return Download(**values | changes)


@pytest.fixture
def server():
    """Serves CONTENT under any name; ``breaks`` counts the answers that stop half way, ``asked`` the ranges."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/gone.bin":
                self.send_error(404)
                return
            first = int((self.headers.get("Range") or "bytes=0-")[6:-1])
            web.asked.append(first)
            self.send_response(206 if first else 200)
            self.send_header("Content-Length", str(len(web.content) - first))
            self.end_headers()
            body = web.content[first:]
            if web.breaks:
                web.breaks -= 1
                body = body[: len(body) // 2]
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.breaks, web.asked, web.content = 0, [], CONTENT
    thread = threading.Thread(target=web.serve_forever)
    thread.start()
    web.url = f"http://127.0.0.1:{web.server_port}"
    yield web
    web.shutdown()
    thread.join()
    web.server_close()


def test_download_and_hash(server, tmp_path):
    seen = []
    lines = fetch([item(url=f"{server.url}/a.bin")], tmp_path, None, lambda *args: seen.append(args))
    assert lines == ["a.bin: there, hash checked"]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert seen[-1] == ("a.bin", len(CONTENT), len(CONTENT))
    fetch([item(url=f"{server.url}/a.bin")], tmp_path, None, silent)
    assert server.asked == [0]  # not fetched twice


def test_a_broken_download_goes_on_where_it_stopped(server, tmp_path):
    server.breaks = 2
    fetch([item(url=f"{server.url}/a.bin")], tmp_path, None, silent)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.asked == [0, len(CONTENT) // 2, len(CONTENT) * 3 // 4]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "downloads.lock.json"]


def test_what_arrived_is_kept_for_the_next_command(server, tmp_path):
    server.breaks = 3
    with pytest.raises(UserError, match=r"Cannot reach .*3 tries\. What arrived is kept.*--from FOLDER"):
        fetch([item(url=f"{server.url}/a.bin")], tmp_path, None, silent)
    assert not (tmp_path / "a.bin").exists()
    fetch([item(url=f"{server.url}/a.bin")], tmp_path, None, silent)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.asked[-1] == len(CONTENT) * 7 // 8


def test_other_content_is_refused_and_not_kept(server, tmp_path):
    server.content = b"<html>log in</html>"
    with pytest.raises(UserError, match="gave another file than expected"):
        fetch([item(url=f"{server.url}/a.bin")], tmp_path, None, silent)
    assert not list(tmp_path.iterdir())


def test_offline_and_gone(server, tmp_path):
    with pytest.raises(UserError, match=r"Cannot reach 127\.0\.0\.1:9 \(offline\?\)"):
        fetch([item(url="http://127.0.0.1:9/a.bin")], tmp_path, None, silent)
    with pytest.raises(UserError, match=r"^Could not download .*gone\.bin: 404"):
        fetch([item(url=f"{server.url}/gone.bin")], tmp_path, None, silent)


def test_mirror(server, tmp_path):
    fetch([item(url="http://127.0.0.1:9/nowhere")], tmp_path, f"{server.url}/", silent)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_from_a_folder(tmp_path):
    source, target = tmp_path / "source" / "deep", tmp_path / "target"
    source.mkdir(parents=True)
    (source / "a.bin").write_bytes(CONTENT)
    optional = item(file="b.bin", optional=True)
    lines = fetch([item(), optional], target, str(tmp_path / "source"), silent)
    assert lines == ["a.bin: there, hash checked", "b.bin: not there, done without it"]
    with pytest.raises(UserError, match=r"c\.bin is not there"):
        fetch([item(file="c.bin")], target, str(tmp_path / "source"), silent)
    (target / "a.bin").write_bytes(CONTENT[:-1])
    with pytest.raises(UserError, match=r"a\.bin is damaged or another file.*Remove it and fetch it again"):
        fetch([item()], target, str(tmp_path / "source"), silent)
    with pytest.raises(UserError, match="has no direct link"):
        fetch([item(file="d.bin")], target, None, silent)


def test_zip_is_unpacked_once(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    with zipfile.ZipFile(source / "films.zip", "w") as archive:
        archive.writestr("inside/one.avi", b"film")
    films = Download(file="films.zip", unpack="one.avi")
    assert fetch([films], tmp_path / "target", str(source), silent) == ["films.zip: unpacked"]
    assert (tmp_path / "target" / "inside" / "one.avi").read_bytes() == b"film"
    assert fetch([films], tmp_path / "target", None, silent) == ["films.zip: already there"]


def test_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"Cannot write to .*--data-dir"):
        fetch([item()], tmp_path / "file" / "data", str(tmp_path), silent)


def test_read_only_folder(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UserError, match=r"Cannot write to .*data: Read-only file system\. .*--data-dir"):
        fetch([item()], tmp_path / "data", str(tmp_path), silent)


def test_every_list_is_readable_and_names_files_of_the_benchmark():
    names = [name for name in BENCHMARKS.names() if downloads_of(name)]
    assert {"taxinyc", "mmnist", "mfmnist", "kth", "weather_t2m"} <= set(names)
    for name in names:
        assert needs_files(load_benchmark(name))
        for download in downloads_of(name):
            assert download.url is None or download.url.startswith("http")
            assert all(text.split(":")[0] in ("sha256", "md5") for text in download.hashes)


def test_benchmarks_of_the_same_files_share_one_download():
    """No two lists are copies of each other, and who has none of its own reads the owner's folder."""
    owners = {name: owner_of_downloads(name) for name in BENCHMARKS.names()}
    shared = {name: owner for name, owner in owners.items() if name != owner}
    assert shared == {"kth40": "kth", "noisy_mmnist": "mmnist", "sevir_diffcast": "sevir", "sevir_prediff": "sevir"}
    for name, owner in shared.items():
        assert downloads_of(name) == downloads_of(owner)
        (spec, *_) = make_plan(Request(methods=["persistence"], benchmark=name, protocol="quick")).specs
        assert owner in reader_options(name, spec.dataset).folders
    own = [downloads_of(name) for name in BENCHMARKS.names() if name not in shared and downloads_of(name)]
    assert len({repr(items) for items in own}) == len(own)


def test_hashes_are_those_of_the_real_files(shared_dir):
    lines = (shared_dir / "data" / "SHA256SUMS").read_text().splitlines()
    by_name = {path.rsplit("/", 1)[-1]: value for value, path in (line.split(maxsplit=1) for line in lines)}
    for name in ("taxinyc", "nyctaxi30"):
        for download in downloads_of(name):
            assert download.hashes == (f"sha256:{by_name[download.file]}",)
