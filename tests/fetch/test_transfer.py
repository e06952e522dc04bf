"""Transfers against a server on this machine: redirects, ranges after them, changed files, plain http, links."""

import json
from pathlib import Path

import pytest

from stbench.errors import UserError
from stbench.fetch import transfer
from stbench.fetch.transfer import Transfer, is_safe, remote_length
from tests.support.web import serving

CONTENT = bytes(range(256)) * 1024


def silent(*_):
    pass


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(transfer, "PAUSE", 0.0)


@pytest.fixture
def web():
    with serving() as made:
        made.files["signed/a.bin"] = CONTENT
        made.moved["a.bin"] = "signed/a.bin"
        yield made


def fetched(web, folder, name="a.bin"):
    got = Transfer(f"{web.url}/a.bin", folder / name, True, silent)
    got.run()
    got.finish()
    return (folder / name).read_bytes()


def stopped(web, folder):
    """A command that gave up half way."""
    web.breaks = transfer.TRIES
    with pytest.raises(UserError, match="What arrived is kept"):
        Transfer(f"{web.url}/a.bin", folder / "a.bin", True, silent).run()
    web.breaks = 0
    web.asked.clear()


def test_a_redirect_is_followed_and_ranges_are_asked_of_the_place_it_leads_to(web, tmp_path):
    web.breaks = 1
    assert fetched(web, tmp_path) == CONTENT
    assert web.asked == [("a.bin", None), ("signed/a.bin", None), ("signed/a.bin", f"bytes={len(CONTENT) // 2}-")]
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_the_next_command_resolves_the_redirect_anew_before_it_asks_for_a_range(web, tmp_path):
    stopped(web, tmp_path)
    web.moved["a.bin"] = "signed/b.bin"
    web.files["signed/b.bin"] = CONTENT
    assert fetched(web, tmp_path) == CONTENT
    assert web.asked[:2] == [("a.bin", None), ("signed/b.bin", None)]
    path, wanted = web.asked[2]
    assert (path, wanted) == ("signed/b.bin", f"bytes={len(CONTENT) * 7 // 8}-")


@pytest.mark.parametrize("change", ["tag", "length", "ranges"])
def test_a_file_that_changed_meanwhile_is_fetched_from_the_start(web, tmp_path, change):
    stopped(web, tmp_path)
    new = CONTENT[::-1]
    if change == "tag":
        web.tag = '"two"'
    if change == "length":
        web.tag, new = None, CONTENT[::-1][:-7]
    if change == "ranges":
        web.ranges, new = False, CONTENT
    web.files["signed/a.bin"] = new
    assert fetched(web, tmp_path) == new


def test_a_file_that_changes_between_two_tries_is_not_patched_together(web, tmp_path):
    class Changing(dict):
        def __getitem__(self, key):
            value = super().__getitem__(key)
            web.tag = f'"{len(web.asked)}"'
            return value

    web.files = Changing(web.files)
    web.breaks = 1
    assert fetched(web, tmp_path) == CONTENT
    assert all(wanted is None or web.tag for _, wanted in web.asked)


def test_a_busy_server_is_asked_again(web, tmp_path):
    web.failing["signed/a.bin"] = 503
    with pytest.raises(UserError, match=r"^Could not download .*503"):
        fetched(web, tmp_path)
    assert len(web.asked) == 2 * transfer.TRIES


def test_what_another_user_left_is_not_written_through(web, tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / ".a.bin.0000.part").symlink_to(victim)
    assert fetched(web, tmp_path) == CONTENT
    assert victim.read_bytes() == b"precious"


def test_temporary_names_cannot_be_foreseen(web, tmp_path):
    names = {Transfer(f"{web.url}/a.bin", tmp_path / "a.bin", True, silent).part.name for _ in range(5)}
    assert len(names) == 5


def test_a_part_without_its_note_is_not_trusted(web, tmp_path):
    stopped(web, tmp_path)
    note = next(tmp_path.glob("*.json"))
    assert json.loads(note.read_text())["length"] == len(CONTENT)
    note.write_text("{")
    assert fetched(web, tmp_path) == CONTENT


def test_plain_http_is_told_from_https_and_from_this_machine():
    assert is_safe("https://example.org/a")
    assert is_safe("http://127.0.0.1:80/a")
    assert not is_safe("http://example.org/a")
    assert not is_safe("http://127.0.0.1.example.org/a")
    assert not is_safe("ftp://example.org/a")


def test_the_length_is_known_without_fetching(web):
    assert remote_length(f"{web.url}/a.bin") == len(CONTENT)
    assert remote_length(f"{web.url}/gone") is None
    assert remote_length("http://127.0.0.1:9/a") is None
    assert remote_length("nonsense") is None


def test_nothing_else_is_left(tmp_path: Path, web):
    stopped(web, tmp_path)
    Transfer(f"{web.url}/a.bin", tmp_path / "a.bin", True, silent).discard()
    assert not list(tmp_path.iterdir())
