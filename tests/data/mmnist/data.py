"""Tiny Moving MNIST: gzipped idx files of training and test images, and the public test clips (T, N, H, W)."""

import gzip
from pathlib import Path

import numpy as np

TRAIN, TEST = "train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"
CLIPS = "mnist_test_seq.npy"


def idx(images: np.ndarray) -> bytes:
    """An idx file: magic number, sizes (big-endian), pixels."""
    return b"\x00\x00\x08\x03" + np.array(images.shape, ">i4").tobytes() + images.tobytes()


def images(count: int, first: int) -> np.ndarray:
    """Images (N, 28, 28) whose first pixels spell their number (base 255, plus one: never black)."""
    made = np.random.default_rng(first).integers(0, 256, (count, 28, 28), dtype=np.uint8)
    numbers = first + np.arange(count)
    made[:, 0, 0], made[:, 0, 1] = numbers // 255 + 1, numbers % 255 + 1
    return made


def write(folder: Path, train: int = 40, test: int = 12, clips: int | None = None) -> None:
    """The two idx files, numbers 0 … and 1000 …, and with ``clips`` that many public test clips."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TRAIN).write_bytes(gzip.compress(idx(images(train, 0))))
    (folder / TEST).write_bytes(gzip.compress(idx(images(test, 1000))))
    if clips is not None:
        frames = np.random.default_rng(5).integers(0, 256, (20, clips, 64, 64), dtype=np.uint8)
        np.save(folder / CLIPS, frames)
