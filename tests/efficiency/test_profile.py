"""The whole profile on methods of known cost; memory in a real fresh process; energy by a fake counter."""

import sys
import types

import pytest
import torch

from stbench.efficiency import memory, profile
from stbench.efficiency.energy import measure_energy
from stbench.efficiency.growth import fit_exponent, horizons, resolutions
from stbench.efficiency.memory import measure_memory
from stbench.efficiency.peak import peak_flops, probes
from stbench.efficiency.records import Cost
from stbench.efficiency.sampling import OUT_OF_MEMORY, summarise
from stbench.schema import RunSpec
from tests.efficiency.subjects import Glutton, Sleeper, planned, registered

CPU = torch.device("cpu")


def profiled(spec: RunSpec, **settings: object) -> Cost:
    chosen = {"batch_sizes": (1, 2), "budget": 0.3, "memory": False, "growth": False, **settings}
    return profile.profile([spec], profile.Settings(**chosen), lambda text: None)[0]


@pytest.fixture(autouse=True)
def small_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "probes", lambda device, precision: probes(device, precision)[:1])


def test_a_method_of_known_sleep_is_measured_within_five_percent() -> None:
    """A busy machine wakes sleepers late: one of three attempts must be on time."""
    whole = Sleeper.ENCODER + Sleeper.TEMPORAL + Sleeper.DECODER
    with registered("sleeper", Sleeper) as spec:
        for _ in range(3):
            cost = profiled(spec)
            medians = [speed.seconds.p50 for speed in cost.speeds if speed.seconds is not None]
            if max(medians) < 1.05 * whole:
                break
    for batch in (1, 2):
        speed = cost.speed("inference", "32", batch)
        assert speed is not None
        assert speed.seconds is not None
        assert speed.seconds.p50 == pytest.approx(whole, rel=0.05)
        assert speed.sequences_per_second == pytest.approx(batch / speed.seconds.p50)
        assert speed.frames_per_second == pytest.approx(2 * batch / speed.seconds.p50)
    assert cost.stages is not None
    assert cost.stages.encoder == pytest.approx(Sleeper.ENCODER / whole, abs=0.05)
    assert cost.stages.decoder == pytest.approx(Sleeper.DECODER / whole, abs=0.05)
    assert sum(cost.stages.model_dump().values()) == pytest.approx(1.0)


def test_out_of_memory_is_a_cell() -> None:
    with registered("glutton", Glutton) as spec:
        cost = profiled(spec, training=True, batch_sizes=(1, 2))
    failures = {(s.mode, s.batch): s.failure for s in cost.speeds}
    assert failures == {
        ("inference", 1): None,
        ("inference", 2): OUT_OF_MEMORY,
        ("training", 1): None,
        ("training", 2): OUT_OF_MEMORY,
    }


def test_share_of_the_peak_is_flops_over_time_over_the_measured_peak() -> None:
    spec = planned("convlstm", protocol="quick")[0]
    cost = profiled(spec, batch_sizes=(2,), training=True, budget=0.05)
    assert [s.batch for s in cost.speeds] == [1, 2, 2]
    for speed in cost.speeds:
        assert speed.seconds is not None
        assert speed.peak_flops is not None
        factor = 3 if speed.mode == "training" else 1
        flops = 2 * cost.macs.total * speed.batch * factor
        assert speed.share_of_peak == pytest.approx(flops / speed.seconds.p50 / speed.peak_flops)


def test_the_peak_is_the_fastest_probe_by_its_best_time() -> None:
    found = probes(CPU, "32")
    assert {probe.name.split()[0] for probe in found} == {"product", "conv"}
    slow = {probe.name: summarise([3.0, 2.0]) for probe in found}
    slow[found[-1].name] = summarise([5.0, 1e-3])
    assert peak_flops(found, slow) == pytest.approx(found[-1].flops / 1e-3)
    assert found[0].flops == 2 * 1024**3
    assert found[-1].flops == 2 * 16 * 32 * 32 * 64 * 64 * 9


def test_growth_is_fitted_over_horizon_pixels_and_batch() -> None:
    cost = profiled(planned("convlstm", protocol="quick")[0], growth=True, budget=0.05)
    growths = {growth.axis: growth for growth in cost.growths}
    assert set(growths) == {"horizon", "pixels", "batch"}
    assert growths["pixels"].macs_exponent == pytest.approx(1.0)
    assert growths["batch"].macs_exponent == pytest.approx(1.0)
    assert 0.5 < (growths["horizon"].macs_exponent or 0.0) < 1.0  # the past's four steps do not grow
    assert [factor for factor, _ in growths["pixels"].points] == [0.25, 1.0, 4.0]


def test_exponents() -> None:
    assert fit_exponent({1.0: 5.0}) is None
    assert fit_exponent({1.0: 0.0, 2.0: 0.0}) is None
    assert fit_exponent({1.0: 2.0, 3.0: 2.0 * 3**1.5, 9.0: 2.0 * 9**1.5}) == pytest.approx(1.5)


def test_sizes_that_a_method_refuses_are_left_out() -> None:
    spec = planned("convlstm", protocol="quick")[0]
    odd = spec.model_copy(update={"shape": spec.shape.model_copy(update={"height": 6, "width": 6})})
    assert list(resolutions(odd)) == [1.0, 4.0]  # 3×3 does not divide by the patch of 2
    assert [shape.t_out for shape in horizons(odd).values()] == [4, 8, 16]


@pytest.mark.slow
def test_memory_of_a_fresh_process() -> None:
    spec = planned("tau", protocol="quick")[0]
    found = {
        mode: measure_memory(spec, mode=mode, precision="32", batch=16, device=CPU)
        for mode in ("inference", "training")
    }
    for one in found.values():
        assert one.failure is None
        assert one.before is not None
        assert one.peak is not None
        assert 100e6 < one.before < one.peak < 4e9
        assert 0 < (one.first or 0) < (one.start_up or 0)
    assert (found["training"].activations or 0) > (found["inference"].activations or 0) > 0


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", f"{OUT_OF_MEMORY} (killed)"),
        ("raise ValueError('no such thing')", "failed: ValueError: no such thing"),
        ("import time; time.sleep(60)", "no answer within 1 s"),
    ],
)
def test_a_process_that_dies_is_a_cell(monkeypatch: pytest.MonkeyPatch, program: str, reason: str) -> None:
    real = memory.subprocess.run
    monkeypatch.setattr(memory.subprocess, "run", lambda command, **more: real([sys.executable, "-c", program], **more))
    spec = planned("tau", protocol="quick")[0]
    found = measure_memory(
        spec, mode="inference", precision="32", batch=1, device=CPU, timeout=1.0 if "60" in program else 30.0
    )
    assert (found.failure, found.peak, found.activations) == (reason, None, None)


def test_energy_is_said_to_be_unmeasured_on_a_cpu() -> None:
    energy = measure_energy(lambda: None, device=CPU, batch=1, seconds=1.0)
    assert energy.joules_per_sequence is None
    assert energy.reason == "this device has no energy counter"


def test_energy_by_the_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each prediction of 0.5 s burns 50 J; two sequences share them."""
    millijoules = [7000.0]

    def predict() -> None:
        millijoules[0] += 50_000.0

    nvml = types.SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: millijoules[0],
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: types.SimpleNamespace(uuid="x"))
    energy = measure_energy(predict, device=torch.device("cuda"), batch=2, seconds=0.5)
    assert energy.joules_per_sequence == pytest.approx(25.0)
    assert millijoules[0] == 7000.0 + 4 * 50_000.0
    monkeypatch.setitem(sys.modules, "pynvml", None)
    missing = measure_energy(predict, device=torch.device("cuda"), batch=2, seconds=0.5)
    assert "not installed" in (missing.reason or "")
