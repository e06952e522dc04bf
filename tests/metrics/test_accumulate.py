import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from stbench.errors import UserError
from stbench.metrics import METRICS, Metric, MetricAccumulator

NAMES = ("mse_frame", "rmse_frame", "psnr")
T_OUT = 3


class Skill(Metric):
    """A ratio of sums: hits over events."""

    def statistics(self, frames: Any) -> tuple[Tensor, ...]:
        raise NotImplementedError  # these tests give the statistics

    def finish(self, means: Any) -> Any:
        return means[0] / means[1]


SKILL = Skill(name="skill", formula="Σ hits / Σ events", unit="", parts=("hits", "events"))


def values_of(seed: int, batch: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: 10 * torch.rand(batch, T_OUT, generator=generator, dtype=torch.float64) for name in NAMES}


def fed(*batches: dict[str, Tensor]) -> MetricAccumulator:
    accumulator = MetricAccumulator(NAMES, T_OUT, data_range=1.0)
    for batch in batches:
        accumulator.update(statistics_of(batch))
    return accumulator


def statistics_of(values: dict[str, Tensor]) -> dict[str, tuple[Tensor]]:
    return {name: (value.square() if name.startswith("rmse") else value,) for name, value in values.items()}


def assert_same(one: MetricAccumulator, other: MetricAccumulator) -> None:
    for name, score in one.compute().items():
        expected = other.compute()[name]
        assert score.total == pytest.approx(expected.total, rel=1e-12)
        assert score.lead_times == pytest.approx(expected.lead_times, rel=1e-12)


def test_totals_against_plain_arithmetic() -> None:
    values = values_of(0, 7)
    scores = fed(values).compute()
    for name in ("mse_frame", "psnr"):
        assert scores[name].total == pytest.approx(values[name].mean().item())
        assert scores[name].lead_times == pytest.approx(values[name].mean(0).tolist())
    root = scores["rmse_frame"]
    assert root.total == pytest.approx(math.sqrt(values["rmse_frame"].square().mean()))
    assert root.lead_times == pytest.approx(values["rmse_frame"].square().mean(0).sqrt().tolist())


@given(cuts=st.lists(st.integers(1, 10), min_size=1, max_size=5), seed=st.integers(0, 1000))
def test_batches_may_be_cut_anywhere(cuts: list[int], seed: int) -> None:
    values = values_of(seed, sum(cuts))
    starts = [sum(cuts[:i]) for i in range(len(cuts))]
    parts = [{n: v[s : s + c] for n, v in values.items()} for s, c in zip(starts, cuts, strict=True)]
    assert_same(fed(*parts), fed(values))


@given(order=st.permutations(range(6)), seed=st.integers(0, 1000))
def test_order_does_not_matter(order: list[int], seed: int) -> None:
    values = values_of(seed, 6)
    assert_same(fed({name: value[order] for name, value in values.items()}), fed(values))


@given(sizes=st.tuples(*[st.integers(1, 6)] * 3))
def test_merging_is_associative_and_equals_one_stream(sizes: tuple[int, int, int]) -> None:
    batches = [values_of(seed, size) for seed, size in enumerate(sizes)]
    left, right, tail = fed(batches[0]), fed(batches[0]), fed(batches[1])
    left.merge(fed(batches[1]))
    left.merge(fed(batches[2]))
    tail.merge(fed(batches[2]))
    right.merge(tail)
    assert_same(left, right)
    assert_same(left, fed(*batches))


def test_summed_states_equal_one_stream() -> None:
    batches = [values_of(0, 5), values_of(1, 2)]
    summed = fed(batches[0]).state() + fed(batches[1]).state()
    assert_same(fed().load(summed), fed(*batches))


def test_memory_is_constant() -> None:
    accumulator = fed()
    size = accumulator.state().shape
    for seed in range(5):
        accumulator.update(statistics_of(values_of(seed, 50)))
    assert accumulator.state().shape == size == (2 * len(NAMES) + 1, T_OUT)


def test_float64_sums_survive_many_batches() -> None:
    accumulator = MetricAccumulator(["mse_frame"], 1, data_range=None)
    for _ in range(10_000):
        accumulator.update({"mse_frame": (torch.full((1, 1), 0.1, dtype=torch.float32),)})
    assert accumulator.compute()["mse_frame"].total == pytest.approx(float(torch.tensor(0.1)), rel=1e-12)


def test_infinite_and_undefined_frames_show_in_their_lead_time_and_the_total() -> None:
    values = values_of(0, 2)
    values["psnr"][1, 2] = float("inf")
    values["mse_frame"][0, 0] = float("nan")
    scores = fed(values).compute()
    assert scores["psnr"].total == scores["psnr"].lead_times[2] == float("inf")
    assert math.isfinite(scores["psnr"].lead_times[0])
    assert math.isnan(scores["mse_frame"].total)
    assert [math.isnan(value) for value in scores["mse_frame"].lead_times] == [True, False, False]


def test_a_ratio_of_sums_is_not_the_mean_of_ratios(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS._loaded, "skill", SKILL)
    batches = (
        [torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0], [2.0, 0.0]])],
        [torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 0.0], [9.0, 0.0]])],
    )
    whole = MetricAccumulator(["skill", "mse_frame"], 2, None)
    parts = [MetricAccumulator(["skill", "mse_frame"], 2, None) for _ in range(2)]
    for part, hits, events in zip(parts, *batches, strict=True):
        for accumulator in (whole, part):
            accumulator.update({"skill": (hits, events), "mse_frame": (hits,)})
    parts[0].merge(parts[1])
    for accumulator in (whole, parts[0]):
        score = accumulator.compute()["skill"]
        assert score.total == score.lead_times[0] == pytest.approx(4 / 12)
        assert math.isnan(score.lead_times[1])  # no event at this lead time
        assert accumulator.compute()["mse_frame"].total == pytest.approx(4 / 6)
    assert whole.state().shape == (6, 2)


def test_nothing_scored() -> None:
    with pytest.raises(UserError, match="No frame was scored"):
        fed().compute()


def test_only_like_accumulators_merge() -> None:
    with pytest.raises(ValueError, match="cannot merge"):
        fed().merge(MetricAccumulator(NAMES, T_OUT + 1, data_range=1.0))
    with pytest.raises(ValueError, match="state of shape"):
        fed().load(torch.zeros(2, 2))
