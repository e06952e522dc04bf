"""BAIR's records, written here byte by byte with a checksum of bits, not of tables."""

import numpy as np
import pytest

from stbench.data.formats.crc32c import crc32c
from stbench.data.formats.tfrecord import open_tfrecord
from stbench.errors import UserError
from tests.fixtures.bair import example, record, slow_crc

EPISODES = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 8, 3), dtype=np.uint8)


def write(path, episodes=EPISODES):
    path.write_bytes(b"".join(record(example(frames)) for frames in episodes))


def read(path):
    return [np.concatenate(list(recording.blocks())) for recording in open_tfrecord(path, "traj")]


def test_episodes_come_back(tmp_path):
    write(tmp_path / "a.tfrecords")
    assert [recording.name for recording in open_tfrecord(tmp_path / "a.tfrecords", "traj")] == ["traj#0", "traj#1"]
    assert (np.stack(read(tmp_path / "a.tfrecords")) == EPISODES).all()


@pytest.mark.parametrize("length", [0, 1, 511, 512, 1025, 5000])
def test_the_checksum_is_that_of_the_definition(length):
    content = np.random.default_rng(length).integers(0, 256, length, dtype=np.uint8).tobytes()
    assert crc32c(content) == slow_crc(content)
    assert crc32c(b"123456789") == 0xE3069283


@pytest.mark.parametrize("place", [0, 9, 40, -2])
def test_a_flipped_bit_is_found(tmp_path, place):
    path = tmp_path / "a.tfrecords"
    write(path, EPISODES[:1])
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)
    with pytest.raises(UserError, match="cannot be read as TFRecord"):
        read(path)


def test_a_short_file_and_another_camera(tmp_path):
    path = tmp_path / "a.tfrecords"
    write(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match="cut short"):
        read(path)
    write(path)
    with pytest.raises(UserError, match="lacks '0/image_main/encoded'"):
        open_tfrecord(path, "x", "image_main")
    path.write_bytes(b"")
    with pytest.raises(UserError, match="holds no record"):
        read(path)
