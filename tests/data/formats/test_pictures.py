"""Pictures as cameras, microscopes and map servers write them: EXIF, pages, depth, palettes; and what is refused."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from stbench.data.formats import open_recordings
from stbench.data.formats.images import MOST_PAGES, read_image
from stbench.errors import UserError

FILM = np.random.default_rng(0).integers(0, 255, (7, 12, 20), dtype=np.uint8)


def recorded(folder):
    paths = sorted(folder.iterdir())
    return open_recordings(paths, folder)


def frames(recording):
    return np.concatenate(list(recording.blocks()))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_exif_turns_pictures_upright(tmp_path, orientation, suffix):
    upright = FILM[0]
    inverse = {  # how a camera held that way stores the upright picture: the EXIF standard's table, undone
        1: lambda x: x,
        2: np.fliplr,
        3: lambda x: np.rot90(x, 2),
        4: np.flipud,
        5: lambda x: x.T,
        6: lambda x: np.rot90(x, 1),
        7: lambda x: np.rot90(x, 2).T,
        8: lambda x: np.rot90(x, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(inverse[orientation](upright)))
    stored.save(tmp_path / f"a{suffix}", exif=exif, **({"lossless": True} if suffix == ".webp" else {}))
    seen = read_image(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(seen[..., 0], upright)


@pytest.mark.parametrize("suffix", [".tif", ".gif", ".png"])
def test_pages_are_frames(tmp_path, suffix):
    for name in "ab":
        first, *others = [Image.fromarray(picture) for picture in FILM]
        first.save(tmp_path / f"{name}{suffix}", save_all=True, append_images=others)
    found = recorded(tmp_path)
    assert [(r.name, r.length, r.frame) for r in found] == [("./a", 7, (12, 20, 1)), ("./b", 7, (12, 20, 1))]
    np.testing.assert_array_equal(frames(found[1])[..., 0], FILM)


@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_deep_grey_keeps_its_numbers(tmp_path, bits, suffix):
    values = np.random.default_rng(bits).integers(0, 2**bits, (12, 20)).astype(np.uint16)
    for number in range(3):
        Image.fromarray(values + number % 2).save(tmp_path / f"{number}{suffix}")
    seen = frames(recorded(tmp_path)[0])
    assert seen.dtype == np.float32
    np.testing.assert_array_equal(seen[0, ..., 0], values)


def test_missing_cells_of_a_geotiff_are_no_numbers(tmp_path):
    values = FILM[0].astype(np.float32)
    values[3, 4] = -9999
    Image.fromarray(values).save(tmp_path / "a.tif", tiffinfo={42113: "-9999"})
    seen = read_image(tmp_path / "a.tif")[..., 0]
    assert np.isnan(seen[3, 4])
    assert np.isnan(seen).sum() == 1


def test_smaller_copies_of_a_page_are_no_frames(tmp_path):
    small = Image.fromarray(FILM[0, ::2, ::2])
    small.encoderinfo = {"tiffinfo": {254: 1}}
    Image.fromarray(FILM[0]).save(tmp_path / "a.tif", save_all=True, append_images=[small])
    with Image.open(tmp_path / "a.tif") as image:
        assert image.n_frames == 2
    (found,) = recorded(tmp_path)
    assert (found.length, found.frame) == (1, (12, 20, 1))


def deep_colour_png(path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)
    rows = zlib.compress(bytes(4 * (1 + 4 * 6)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))


def huge_png(path):
    Image.new("1", (8193, 8192)).save(path)


def pages_of_two_sizes(path):
    other = Image.fromarray(FILM[0, :6])
    Image.fromarray(FILM[0]).save(path, format="TIFF", save_all=True, append_images=[other])


def postscript(path):
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\n(x) (w) file\n%%EOF\n")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (deep_colour_png, "has 16 bits per colour, of which 8 would be lost"),
        (huge_png, "announces a picture of 8192×8193"),
        (pages_of_two_sizes, r"page 1 is \(6, 20\), the pages before it \(12, 20\)"),
        (postscript, "cannot be read as a picture"),
    ],
)
def test_what_is_refused(tmp_path, write, message):
    write(tmp_path / "a.png")
    with pytest.raises(UserError, match=message):
        recorded(tmp_path)


def test_single_pictures_and_pages_do_not_mix(tmp_path):
    Image.fromarray(FILM[0]).save(tmp_path / "a.tif")
    first, *others = [Image.fromarray(picture) for picture in FILM]
    first.save(tmp_path / "b.tif", save_all=True, append_images=others)
    (found,) = recorded(tmp_path)
    with pytest.raises(UserError, match=r"b\.tif holds 7 pages, and the picture before it one"):
        frames(found)
    assert MOST_PAGES > 7
