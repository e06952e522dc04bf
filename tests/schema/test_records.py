"""Records reject unknown keys with a useful message."""

from pathlib import Path

import pytest

from stbench.errors import UserError, did_you_mean
from stbench.schema import Benchmark, ClipShape, RunResult, Training
from stbench.schema.folder import RunFolder
from stbench.train.schedules import Cosine, OneCycle
from tests.report.runs import make_spec

TRAINING = {"epochs": 1, "batch_size": 4, "lr": 0.1, "schedule": {"kind": "cosine"}}


def test_clip_shape_gives_tensor_shapes() -> None:
    shape = ClipShape(t_in=4, t_out=6, channels=2, height=8, width=16)
    assert shape.length == 10
    assert shape.frame == (2, 8, 16)
    assert shape.past(3) == (3, 4, 2, 8, 16)
    assert shape.future(3) == (3, 6, 2, 8, 16)


SIZES = {"t_in": 4, "t_out": 4, "channels": 1, "height": 8, "width": 8}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({**SIZES, "t_in": 0}, "{}t_in = 0: Input should be greater than 0."),
        ({**SIZES, "width": 2.5}, "{}width = 2.5"),
        ({**SIZES, "tin": 3}, "unknown key '{}tin'. Did you mean 't_in'?"),
        ({"t_in": 4, "t_out": 4, "channels": 1, "height": 8}, "'{}width' is missing."),
    ],
)
def test_an_impossible_shape_is_the_caller_s_mistake(values: dict, message: str) -> None:
    benchmark = {"name": "x", "version": 1, "title": "", "dataset": {"reader": "r"}, "units": "", "protocols": {}}
    makers = {
        ("ClipShape", ""): lambda: ClipShape(**values),
        ("--shape", ""): lambda: ClipShape.parse(values, "--shape"),
        ("protocol.yaml", "shape."): lambda: Benchmark.parse({**benchmark, "shape": values}, "protocol.yaml"),
    }
    for (where, above), make in makers.items():
        with pytest.raises(UserError) as error:
            make()
        assert str(error.value).startswith(f"{where}: {message.format(above)}")


def test_records_are_frozen() -> None:
    shape = ClipShape(t_in=1, t_out=1, channels=1, height=1, width=1)
    with pytest.raises(ValueError, match="frozen"):
        shape.t_in = 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({**TRAINING, "epoch": 3}, "here: unknown key 'epoch'. Did you mean 'epochs'? Known keys: epochs, batch_size"),
        ({**TRAINING, "epochs": 0}, "here: epochs = 0: Input should be greater than 0."),
        ({**TRAINING, "epochs": "ten"}, "here: epochs = 'ten'"),
        ({k: v for k, v in TRAINING.items() if k != "lr"}, "here: 'lr' is missing."),
        ({**TRAINING, "schedule": {"kind": "cosin"}}, "cosin"),
        ({**TRAINING, "schedule": {"kind": "cosine", "min": 1}}, "unknown key 'schedule.min'. Did you mean 'min_lr'?"),
        ({**TRAINING, "optimizer": {"betta": 1}}, "unknown key 'optimizer.betta'. Did you mean 'betas'?"),
        ({**TRAINING, "accumulate": 3}, "batch_size 4 is not a multiple of accumulate 3"),
    ],
)
def test_messages(values: dict, message: str) -> None:
    with pytest.raises(UserError) as error:
        Training.parse(values, "here")
    assert message in str(error.value)


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(UserError) as error:
        Training.parse({**TRAINING, "epochs": 0, "lr": -1}, "here")
    assert len(str(error.value).splitlines()) == 2


def test_schedules_are_told_apart_by_kind() -> None:
    assert isinstance(Training.parse(TRAINING, "x").schedule, Cosine)
    assert isinstance(Training.parse({**TRAINING, "schedule": {"kind": "onecycle"}}, "x").schedule, OneCycle)


def test_results_survive_json_with_nan() -> None:
    result = RunResult(
        run_id="a",
        method="m",
        benchmark="b",
        protocol="p",
        seed=0,
        status="finished",
        test={"psnr": {"total": float("inf"), "lead_times": (float("nan"), 1.0)}},
    )
    back = RunResult.model_validate_json(result.model_dump_json())
    assert back.test["psnr"].total == float("inf")
    assert back.test["psnr"].lead_times[0] != back.test["psnr"].lead_times[0]


def test_benchmark_needs_protocols() -> None:
    with pytest.raises(UserError, match="'protocols' is missing"):
        Benchmark.parse({"name": "x", "version": 1}, "file")


@pytest.mark.parametrize(
    ("seen", "expected"),
    [("tua", " Did you mean 'tau'?"), ("conv", " Did you mean 'convlstm'?"), ("zzz", ""), ("", "")],
)
def test_near_misses(seen: str, expected: str) -> None:
    assert did_you_mean(seen, ["tau", "convlstm"]) == expected


def test_metrics_beside_enter_no_run_id_and_survive_the_file(tmp_path: Path) -> None:
    plain = make_spec()
    evaluation = plain.evaluation.model_copy(update={"beside": ("wmape", "mse_frame")})
    listed = plain.model_copy(update={"evaluation": evaluation})
    assert listed.run_id == plain.run_id
    assert "beside" not in plain.model_dump(mode="json")["evaluation"]
    folder = RunFolder(tmp_path / listed.folder)
    folder.create(listed)
    assert folder.spec().evaluation.listed == (*plain.evaluation.metrics, "wmape")
    other = plain.model_copy(update={"evaluation": plain.evaluation.model_copy(update={"metrics": ("wmape",)})})
    assert other.run_id != plain.run_id
