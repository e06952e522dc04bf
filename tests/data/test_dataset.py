"""Opening a dataset checks the reader's splits."""

import pytest
import torch

from stbench.data import DATASETS, Reader, ReaderOptions, Split, Splits, open_dataset
from stbench.errors import UserError
from stbench.schema import ClipShape, DatasetSpec

SHAPE = ClipShape(t_in=2, t_out=3, channels=1, height=4, width=4)


class Fixed(Split):
    def __init__(self, clips, *frame):
        self.n = clips
        self.frame = frame

    def __len__(self):
        return self.n

    def clips(self, indices, epoch):
        return torch.zeros(len(indices), *self.frame)


@pytest.fixture
def build(monkeypatch):
    def builder(test):
        class Toy(Reader):
            @classmethod
            def open(cls, options, context):
                train = Fixed(3, 5, 1, 4, 4)
                return Splits(train=train, val=train, test=test, report=context.name, fingerprint="toy")

        monkeypatch.setitem(DATASETS._loaded, "toy", Toy)
        return open_dataset("toys", DatasetSpec(reader="toy"), SHAPE, (), True)

    return builder


def test_good_dataset(build):
    dataset = build(Fixed(1, 5, 1, 4, 4))
    assert dataset.report == "toys"
    assert dataset.frame_cache is None
    assert dataset.to_physical(torch.ones(1)).item() == 1


def test_other_clip_shape(build):
    with pytest.raises(UserError, match=r"toys: the test split .* of shape \(1, 5, 4, 4, 1\), .* \(1, 5, 1, 4, 4\)"):
        build(Fixed(1, 5, 4, 4, 1))


def test_empty_split(build):
    with pytest.raises(UserError, match="toys: the test split holds no clips"):
        build(Fixed(0, 5, 1, 4, 4))


def test_unknown_reader():
    with pytest.raises(UserError, match=r"Unknown dataset reader 'flow_gird'\. Did you mean 'flow_grid'\?"):
        open_dataset("toys", DatasetSpec(reader="flow_gird"), SHAPE, (), True)


def test_options_every_reader_has_are_read_without_the_reader():
    options = {"files": ["a.h5"], "prepared": "b.npz", "first_slot": 0}
    assert ReaderOptions.read_common(options, "here").file_sets == (("a.h5",),)
    assert ReaderOptions.read_common({"glyphs": "digits"}, "here").file_sets == ()
    with pytest.raises(UserError, match="here: files"):
        ReaderOptions.read_common({"files": 3}, "here")
