"""The loader's promises: every clip once, the same batches whatever the workers, ranks or resume."""

from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stbench.data import ClipLoader, Split, evenly_spaced
from stbench.errors import UserError


class Numbered(Split):
    """Clip i of epoch e holds i + 1000·e."""

    def __init__(self, clips):
        self.n = clips

    def __len__(self):
        return self.n

    def clips(self, indices, epoch):
        return torch.from_numpy(indices + 1000.0 * epoch).float().reshape(-1, 1, 1, 1, 1)


def seen(loader, epoch=0, start_step=0):
    return [batch.flatten().int().tolist() for batch in loader.epoch(epoch, start_step)]


sizes = st.integers(1, 70)
batches = st.integers(1, 12)
seeds = st.integers(0, 5)


@given(sizes, batches, seeds, st.integers(0, 3))
def test_a_training_epoch_is_a_permutation(n, batch, seed, epoch):
    loader = ClipLoader(Numbered(n), batch, shuffle=True, seed=seed)
    got = seen(loader, epoch)
    assert sorted(chain.from_iterable(got)) == [i + 1000 * epoch for i in range(n)]
    assert len(got) == loader.steps_per_epoch
    assert {len(b) for b in got[:-1]} <= {batch}


@given(sizes, batches, seeds, st.data())
def test_resuming_in_the_middle_gives_the_rest(n, batch, seed, data):
    loader = ClipLoader(Numbered(n), batch, shuffle=True, seed=seed)
    step = data.draw(st.integers(0, loader.steps_per_epoch))
    assert seen(loader, 2, step) == seen(loader, 2)[step:]


@given(sizes, batches, st.integers(1, 4), st.one_of(st.none(), st.integers(1, 80)))
def test_evaluation_covers_every_clip_once_over_ranks(n, batch, world, limit):
    split = Numbered(n)
    ranks = [ClipLoader(split, batch, shuffle=False, limit=limit, rank=r, world_size=world) for r in range(world)]
    got = [seen(loader) for loader in ranks]
    assert [len(batches) for batches in got] == [loader.steps_per_epoch for loader in ranks]
    clips = sorted(clip for batches in got for b in batches for clip in b)
    assert clips == evenly_spaced(n, limit).tolist()


@given(sizes, st.integers(1, 4), st.integers(1, 4), seeds, st.booleans())
def test_rank_shares_make_up_the_global_batch(n, per_rank, world, seed, drop_last):
    if n < world:
        return
    batch = per_rank * world
    options = {"shuffle": True, "seed": seed, "drop_last": drop_last}
    whole = seen(ClipLoader(Numbered(n), batch, **options))
    shares = [seen(ClipLoader(Numbered(n), batch, rank=r, world_size=world, **options)) for r in range(world)]
    assert len({len(share) for share in shares}) == 1
    for step, parts in enumerate(zip(*shares, strict=True)):
        assert len({len(part) for part in parts}) == 1
        joined = list(chain.from_iterable(parts))
        assert joined == whole[step][: len(joined)]
        assert len(whole[step]) - len(joined) < world
    assert len(whole) - len(shares[0]) <= 1


@given(sizes, batches, st.integers(1, 30))
def test_a_limited_epoch_is_a_subset_drawn_anew(n, batch, limit):
    loader = ClipLoader(Numbered(n), batch, shuffle=True, limit=limit)
    clips = list(chain.from_iterable(seen(loader)))
    assert len(clips) == len(set(clips)) == min(n, limit)


def test_orders_differ_between_epochs_and_seeds():
    orders = [
        tuple(np.concatenate(ClipLoader(Numbered(50), 50, shuffle=True, seed=s, limit=20).batches(e)))
        for s in (0, 1)
        for e in (0, 1)
    ]
    assert len(set(orders)) == 4
    assert len({frozenset(order) for order in orders}) == 4


@pytest.mark.parametrize(("n", "steps"), [(16, 2), (17, 2), (15, 1), (5, 1)])
def test_drop_last_keeps_the_only_batch(n, steps):
    loader = ClipLoader(Numbered(n), 8, shuffle=True, drop_last=True)
    got = seen(loader)
    assert len(got) == steps
    assert {len(b) for b in got} == {min(n, 8)}


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(workers):
    plain = ClipLoader(Numbered(23), 4, shuffle=True, seed=3)
    with_workers = ClipLoader(Numbered(23), 4, shuffle=True, seed=3, workers=workers)
    for epoch in (0, 1):
        assert seen(with_workers, epoch) == seen(plain, epoch)
    assert seen(with_workers, 2, 3) == seen(plain, 2, 3)
    next(abandoned := with_workers.epoch(3))
    abandoned.close()
    assert seen(with_workers, 4) == seen(plain, 4)


@pytest.mark.parametrize("workers", [0, 1])
def test_global_random_state_is_left_alone(workers):
    loader = ClipLoader(Numbered(9), 4, shuffle=True, workers=workers)
    torch.manual_seed(1)
    np.random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    seen(loader)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()


def test_impossible_sharing_is_refused():
    with pytest.raises(UserError, match="A global batch of 5 clips does not divide among 2 processes"):
        ClipLoader(Numbered(9), 5, shuffle=True, world_size=2)
    with pytest.raises(UserError, match="1 training clips are too few for 2 processes"):
        ClipLoader(Numbered(1), 4, shuffle=True, world_size=2)


@given(st.integers(1, 200), st.integers(1, 200))
def test_evenly_spaced(n, limit):
    chosen = evenly_spaced(n, limit)
    assert len(chosen) == min(n, limit)
    assert chosen[0] == 0
    assert chosen[-1] < n
    gaps = np.diff(chosen)
    assert len(gaps) == 0 or (gaps.min() >= 1 and gaps.max() - gaps.min() <= 1)
