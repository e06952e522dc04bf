"""Every method as a program: it gives the method's predictions on pasts with which it was not recorded."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from stbench import ClipShape, Method, create_method, load
from stbench.cli.app import app
from stbench.conformance.sweeps import baseline_specs
from stbench.errors import UserError
from stbench.evaluate.export import SUFFIXES, Exported, Format, export
from stbench.nn import METHODS
from stbench.schema import Scaling
from tests.methods.small import SHAPE, TRAINED, UNTRAINED, build
from tests.support.ramps import finished_runs, registered

SCALING = Scaling(offset=(2.0, -1.0), scale=(3.0, 0.5))
FAST = {("linear", "torch_export"), ("convlstm", "torchscript"), ("linear", "onnx")}
OUTSIDE_TORCH = {"optflow": "it computes outside torch (Tensor.numpy in forward (__init__.py, line "}
SMALL = (*TRAINED, *UNTRAINED)
NAMES = [*SMALL, *sorted(set(METHODS.names()) - {name.partition(":")[0] for name in SMALL})]
CASES = [
    pytest.param(name, kind, marks=() if (name, kind) in FAST else pytest.mark.slow)
    for name in NAMES
    for kind in SUFFIXES
    if name not in OUTSIDE_TORCH
]
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "export.md").read_text(encoding="utf-8")


def small(name: str) -> Method:
    if name in SMALL:
        return build(name)
    return create_method(name, ClipShape(t_in=4, t_out=3, channels=2, height=16, width=8), **METHODS.get(name).small)


def needed(kind: str) -> None:
    for package in ("onnxscript", "onnxruntime") if kind == "onnx" else ():
        pytest.importorskip(package, reason=f"needs {package}: pip install 'stbench[onnx]'")


def exported(method: Method, kind: Format, file: Path, name: str = "it", batch: int = 1, **more: Any) -> Exported:
    needed(kind)
    spec = baseline_specs()[0].model_copy(update={"method": name, "shape": method.shape})
    return export(method.eval(), SCALING, spec, kind, file, more.get("recorded", []), batch)


def run(kind: str, file: Path, past: torch.Tensor) -> torch.Tensor:
    """As somebody without stbench would."""
    if kind == "torch_export":
        return cast("torch.Tensor", torch.export.load(file).module()(past))
    if kind == "torchscript":
        return cast("torch.Tensor", torch.jit.load(str(file))(past))
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"past": past.numpy()})[0])


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_program_gives_the_predictions(name: str, kind: Format, tmp_path: Path) -> None:
    torch.manual_seed(0)
    method = small(name)
    method.fit([torch.rand(2, method.shape.length, *method.shape.frame)])
    file = tmp_path / f"model{SUFFIXES[kind]}"
    done = exported(method, kind, file)
    assert done.file == file
    assert done.difference <= 1e-4
    past = 5 * torch.rand(method.shape.past(1), generator=torch.Generator().manual_seed(7))
    scale, offset = torch.tensor(SCALING.scale)[:, None, None], torch.tensor(SCALING.offset)[:, None, None]
    with torch.no_grad():
        wanted = offset + scale * method((past - offset) / scale)
        got = run(kind, file, past)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


@pytest.mark.parametrize("kind", SUFFIXES)
@pytest.mark.parametrize("name", OUTSIDE_TORCH)
def test_what_leaves_torch_is_refused(name: str, kind: Format, tmp_path: Path) -> None:
    needed(kind)
    with pytest.raises(UserError, match=f"^{name} cannot be exported: ") as refused:
        exported(small(name), kind, tmp_path / "model", name)
    assert OUTSIDE_TORCH[name] in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert not list(tmp_path.iterdir())


class Deciding(Method):
    """Chooses between two futures by a value of the past."""

    def forward(self, past: torch.Tensor) -> torch.Tensor:
        last = past[:, -1:].expand(-1, self.shape.t_out, -1, -1, -1)
        return last if bool(past[0, 0, 0, 0, 0] > past[0, 1, 0, 0, 0]) else -last


def test_what_decides_by_values_is_refused(tmp_path: Path) -> None:
    """A trace keeps one branch and is found to be wrong; torch.export says where it cannot go on."""
    method = Deciding(SHAPE, Method.Config())
    with pytest.raises(UserError, match=r"as torchscript: the program differs by .* from the method's predictions"):
        exported(method, "torchscript", tmp_path / "model.pt")
    with pytest.raises(UserError, match=r"as torch_export: .* in forward \(test_export.py, line \d+\): ") as refused:
        exported(method, "torch_export", tmp_path / "model.pt2")
    assert len(str(refused.value).splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_program_takes_the_batch_for_which_it_was_made(tmp_path: Path) -> None:
    done = exported(small("persistence"), "torchscript", tmp_path / "model.pt", batch=3)
    assert (done.past, done.future) == ((3, *SHAPE.past(1)[1:]), (3, *SHAPE.future(1)[1:]))
    past = torch.rand(SHAPE.past(3))
    torch.testing.assert_close(run("torchscript", tmp_path / "model.pt", past)[:, 0], past[:, -1])


@pytest.mark.parametrize(("factor", "is_kept"), [(1.0, True), (1.1, False), (float("nan"), False)])
def test_recorded_predictions_must_come_out(factor: float, is_kept: bool, tmp_path: Path) -> None:
    """Where they do not, the run predicted with something else, such as dates."""
    past = torch.rand(SHAPE.past(1))[0]
    recorded = [(past, factor * past[-1].expand(3, -1, -1, -1))]
    if is_kept:
        assert exported(small("persistence"), "torchscript", tmp_path / "model.pt", recorded=recorded).recorded == 1
        return
    with pytest.raises(UserError, match="from the predictions that the run recorded"):
        exported(small("persistence"), "torchscript", tmp_path / "model.pt", recorded=recorded)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder of a finished run."""
    with registered(tmp_path_factory.mktemp("benchmark")):
        yield finished_runs(tmp_path_factory.mktemp("out"), ["linear"])["linear"]


def test_the_command_exports_a_run(folder: Path, tmp_path: Path) -> None:
    """The program gives what ``load`` predicts; a file is not replaced unasked."""
    file = tmp_path / "model.pt"
    arguments = ["export", str(folder), "--format", "torchscript", "--output", str(file), "--batch", "2"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "2x3x2x8x16 -> 2x2x2x8x16 float32" in " ".join(result.output.split())
    assert re.search(r"\([1-9]\d* recorded predictions compared\)", " ".join(result.output.split()))
    past = np.random.default_rng(0).uniform(250, 300, (2, 3, 2, 8, 16)).astype(np.float32)
    got = run("torchscript", file, torch.from_numpy(past)).numpy()
    np.testing.assert_allclose(got, load(folder).predict(past), rtol=1e-5)
    again = CliRunner().invoke(app, arguments)
    assert isinstance(again.exception, UserError)
    assert "--overwrite" in str(again.exception)
    assert CliRunner().invoke(app, [*arguments, "--overwrite"]).exit_code == 0


@pytest.mark.slow
def test_the_page_shows_how_programs_are_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == len(SUFFIXES)
    for kind, suffix in SUFFIXES.items():
        exported(small("persistence"), kind, tmp_path / f"model{suffix}")
    monkeypatch.chdir(tmp_path)
    for block in blocks:
        names: dict[str, Any] = {}
        exec(compile(block, "docs/export.md", "exec"), names)
        past, future = (np.asarray(names[name]) for name in ("past", "future"))
        np.testing.assert_allclose(future, np.repeat(past[:, -1:], SHAPE.t_out, 1), rtol=1e-5, atol=1e-6)
