"""Videos: rotation, depth, damage, files that name other files; both decoders give the same numbers."""

import random
import subprocess
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest

from stbench.data.formats import open_recordings, video
from stbench.errors import UserError

HEIGHT, WIDTH, COUNT = 32, 48, 40


def ffmpeg(*options):
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *map(str, options)], check=True)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """A raw film whose top bar is bright, and videos made of it."""
    folder = tmp_path_factory.mktemp("films")
    film = np.full((COUNT, HEIGHT, WIDTH), 30, np.uint8)
    film[:, :4] = 250
    for number in range(COUNT):
        film[number, 12:20, number % 40 : number % 40 + 8] = 160
    (folder / "raw").write_bytes(film.tobytes())
    raw = ("-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{WIDTH}x{HEIGHT}", "-r", 25, "-i", folder / "raw")
    ffmpeg(*raw, "-pix_fmt", "yuv420p", folder / "upright.mp4")
    ffmpeg("-display_rotation", 90, "-i", folder / "upright.mp4", "-c", "copy", folder / "turned.mp4")
    ffmpeg(*raw, "-c:v", "ffv1", "-level", "3", "-slicecrc", "1", "-pix_fmt", "gray", folder / "grey.mkv")
    ffmpeg(*raw, "-c:v", "ffv1", "-pix_fmt", "gray10le", folder / "grey10.mkv")
    ffmpeg(*raw, "-c:v", "ffv1", "-pix_fmt", "gray16le", folder / "grey16.mkv")
    ffmpeg(
        *raw, "-vf", "select='lt(n,20)+not(mod(n,4))'", "-fps_mode", "vfr", "-pix_fmt", "yuv420p", folder / "vfr.mp4"
    )
    for name, size in (("x.ts", "48x32"), ("y.ts", "96x64")):
        ffmpeg(*raw, "-c:v", "mpeg2video", "-pix_fmt", "yuv420p", "-s", size, folder / name)
    (folder / "grows.mpg").write_bytes((folder / "x.ts").read_bytes() + (folder / "y.ts").read_bytes())
    return folder, film


def opened(path: Path):
    (found,) = open_recordings([path], path.parent)
    return found


def frames(recording):
    return np.concatenate(list(recording.blocks()))


@pytest.mark.parametrize("name", ["upright.mp4", "turned.mp4", "grey.mkv", "grey10.mkv", "grey16.mkv", "vfr.mp4"])
def test_both_decoders_agree_and_say_who_they_are(films, monkeypatch, name):
    one = opened(films[0] / name)
    first = frames(one)
    monkeypatch.setattr(video, "find_spec", lambda module: None if module == "av" else True)
    other = opened(films[0] / name)
    np.testing.assert_array_equal(frames(other), first)
    assert (one.frame, one.dtype) == (other.frame, other.dtype)
    assert one.variant != other.variant


def test_rotation_in_the_metadata_is_applied(films):
    seen = frames(opened(films[0] / "turned.mp4"))
    assert seen.shape == (COUNT, WIDTH, HEIGHT, 3)
    assert (seen[:, :, :3] > 200).all()  # turned counter-clockwise, the top bar is at the left
    assert (seen[:, :, -3:] < 100).all()


@pytest.mark.parametrize(("name", "factor"), [("grey.mkv", 1), ("grey10.mkv", 4), ("grey16.mkv", 257)])
def test_grey_keeps_its_depth(films, name, factor):
    seen = frames(opened(films[0] / name))[..., 0]
    assert seen.dtype == (np.uint8 if factor == 1 else np.float32)
    assert np.abs(seen / factor - films[1]).max() < 1


def test_uneven_times_are_said(films):
    assert "unevenly spaced in time, 0.04 to 0.16 s" in str(opened(films[0] / "vfr.mp4"))
    assert "unevenly" not in str(opened(films[0] / "upright.mp4"))


def test_a_size_that_changes_is_named(films):
    with pytest.raises(UserError, match=r"frame 39 is 64×96, those before it 32×48"):
        frames(opened(films[0] / "grows.mpg"))


@pytest.mark.parametrize("name", ["upright.mp4", "grey.mkv"])
@pytest.mark.parametrize("decoder", ["av", "ffmpeg"])
def test_damage_is_never_concealed(films, tmp_path, monkeypatch, name, decoder):
    if decoder == "ffmpeg":
        monkeypatch.setattr(video, "find_spec", lambda module: None if module == "av" else True)
    whole, truth = (films[0] / name).read_bytes(), frames(opened(films[0] / name))
    path = tmp_path / name
    for seed in range(4):
        draw = random.Random(seed)
        raw = bytearray(whole)
        at = draw.randrange(len(raw) // 4, len(raw) * 3 // 4)
        raw[at : at + 20] = draw.randbytes(20)
        path.write_bytes(raw)
        try:
            seen = frames(opened(path))
        except UserError:
            continue
        np.testing.assert_array_equal(seen, truth)  # what was hit does not matter to the frames


@pytest.mark.parametrize(
    "text",
    ["#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{}\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile '{}'\n"],
)
def test_a_file_that_names_others_does_not_open_them(films, tmp_path, text):
    (tmp_path / "a.mp4").write_text(text.format(films[0] / "upright.mp4"))
    with pytest.raises(UserError, match=r"a\.mp4 cannot be read as a video"):
        opened(tmp_path / "a.mp4")


def test_the_log_level_of_others_is_left_alone(films):
    before = av.logging.get_level()
    frames(opened(films[0] / "grey.mkv"))
    assert av.logging.get_level() == before
