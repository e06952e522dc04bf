"""Which files a folder holds: hidden ones, links, pipes, results of stbench; and the list that a spec keeps."""

import os
from pathlib import Path

import pytest

from stbench.data.formats.listing import expanded, files_below, files_matching, holds_all
from stbench.data.formats.named_files import MOST_ENTRIES, NamedFiles, every_name, look_up, write_down
from stbench.errors import UserError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def names(root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in files_below(root, (".npy", ".png"))]


def test_what_is_no_data_is_not_listed(tmp_path):
    touch(tmp_path, "a.npy", "sub/B.NPY", "x.txt")
    touch(tmp_path, ".b.npy", "._a.npy", ".ipynb_checkpoints/a.npy", "__MACOSX/a.npy", "@eaDir/a.npy/thumb.png")
    touch(tmp_path, "results/runs/one/spec.yaml", "results/runs/one/samples.npy", "results/figures/a.png")
    touch(tmp_path, "runs/two/spec.yaml", "runs/two/samples.npy", "figures/b.png", "preview/.stbench", "preview/c.png")
    assert names(tmp_path) == ["a.npy", "sub/B.NPY"]
    assert files_matching(tmp_path, ["*.npy"]) == [tmp_path / "a.npy"]
    assert files_matching(tmp_path, ["**/*.NPY", "*.txt"]) == [tmp_path / "sub/B.NPY", tmp_path / "x.txt"]
    assert holds_all(tmp_path, ["*.npy", "sub/*"])
    assert not holds_all(tmp_path, ["*.npy", "sub/*.npy"])


def test_linked_folders_are_read_once(tmp_path):
    data, other = tmp_path / "data", tmp_path / "other"
    touch(data, "a/1.npy", "b/2.npy")
    touch(other, "3.npy", "deep/4.npy")
    for link, target in (("linked", other), ("again", other), ("latest", data / "b"), ("a/loop", data)):
        (data / link).symlink_to(target)
    assert names(data) == ["a/1.npy", "again/3.npy", "again/deep/4.npy", "b/2.npy"]


@pytest.mark.parametrize("kind", ["pipe", "dangling", "self", "device"])
def test_what_cannot_be_read_as_a_file_is_named(tmp_path, kind):
    touch(tmp_path, "a.npy")
    path = tmp_path / "b.npy"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to({"dangling": "/nowhere/x.npy", "self": "b.npy", "device": "/dev/zero"}[kind])
    with pytest.raises(UserError, match=r"b\.npy (is no regular file|links to)"):
        names(tmp_path)


def test_names_that_cannot_be_recorded(tmp_path):
    path = tmp_path / os.fsdecode(b"\xff.npy")
    path.write_bytes(b"x")
    with pytest.raises(UserError, match=r"\\xff\.npy is no UTF-8 name"):
        names(tmp_path)
    with pytest.raises(UserError, match=r"~nobody_of_that_name/data: .*Write the path in full"):
        expanded("~nobody_of_that_name/data")


def test_numbered_names_take_one_entry(tmp_path):
    made = [f"walk/frame{n:03d}.png" for n in range(0, 60, 5)] + [f"f{n}.png" for n in range(9, 13)]
    made += ["a.npy", "run[1].npy", "07.npy"]
    written = write_down(tmp_path, [tmp_path / name for name in made])
    assert ("walk/frame", 0, 55, 5, 3, ".png") in written.names
    assert ("f", 9, 12, 1, 1, ".png") in written.names
    assert sorted(every_name(written)) == sorted(made)
    assert NamedFiles.parse(written.model_dump(mode="json"), "") == written


def test_exactly_the_listed_files_are_given_back(tmp_path):
    touch(tmp_path, *(f"c{n}.npy" for n in range(12)))
    written = write_down(tmp_path, files_below(tmp_path, (".npy",)))
    touch(tmp_path, "c12.npy")
    assert [path.name for path in look_up(written, tmp_path, None)] == [f"c{n}.npy" for n in range(12)]
    (tmp_path / "c3.npy").unlink()
    with pytest.raises(UserError, match=r"1 of the 12 data files are gone: .*c3\.npy"):
        look_up(written, tmp_path, None)
    damaged = NamedFiles(count=2, names=(("c", 0, 10**12, 1, 1, ".npy"),))
    with pytest.raises(UserError, match="damaged"):
        look_up(damaged, tmp_path, None)


def test_of_too_many_names_a_hash_is_kept(tmp_path):
    paths = [tmp_path / f"{n * n}_{n % 7}.npy" for n in range(MOST_ENTRIES + 1)]
    written = write_down(tmp_path, paths)
    assert not written.names
    assert look_up(written, tmp_path, paths) == paths
    with pytest.raises(UserError, match=r"held 1001 data files .* holds others now \(1000\)"):
        look_up(written, tmp_path, paths[1:])
