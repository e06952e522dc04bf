"""Finished runs as programs that need no stbench: torch.export, TorchScript, ONNX.

A program maps past frames (B, T_in, C, H, W) to future frames (B, T_out, C, H, W), float32 in physical units, for one
batch size B. Before its file is put in place, it is read back and compared with the method on random pasts and with the
predictions that the run recorded.
"""

from __future__ import annotations

import inspect
import io
import logging
import re
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from stbench.errors import UserError, first_line
from stbench.evaluate.predictor import load_best
from stbench.nn import METHODS, Method
from stbench.schema import RunSpec, Scaling
from stbench.schema.folder import finished_run, write_with
from stbench.schema.samples import read_samples

Format = Literal["torch_export", "torchscript", "onnx"]
Program = Callable[[Tensor], Tensor]
SUFFIXES: dict[Format, str] = {"torch_export": ".pt2", "torchscript": ".pt", "onnx": ".onnx"}
TOLERANCE = 1e-4
"""Largest difference from the method on this machine, relative to the largest predicted value: rounding."""
RECORDED_TOLERANCE = 1e-3
"""The same for the predictions that the run recorded, perhaps on another machine."""
DRAWN = 3
"""Batches of random pasts on which a program is compared, besides the one with which it is recorded."""
OPSET = 18
_OPERATOR = re.compile(r"(?:aten|torchvision|prims)(?:::|\.)\w+")
_OUTSIDE = (Tensor.numpy, Tensor.__array__, Tensor.tolist)
"""Ways of a tensor's values out of torch."""


@dataclass(frozen=True)
class Exported:
    """A written program.

    Attributes:
        file: where it is.
        past, future: shapes that it reads and returns, (B, T, C, H, W).
        difference: largest difference from the method on random pasts, relative to the largest predicted value.
        recorded: number of predictions of the run that it reproduces.
    """

    file: Path
    past: tuple[int, ...]
    future: tuple[int, ...]
    difference: float
    recorded: int


class _StayInside(TorchFunctionMode):
    """Refuse what no exporter records: values that leave torch, which a program would hold as constants."""

    def __init__(self, method: Method, name: str) -> None:
        super().__init__()
        self._method, self._name = method, name

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _OUTSIDE:
            raise UserError(
                f"{self._name} cannot be exported: it computes outside torch (Tensor.{func.__name__}"
                f"{_place(traceback.extract_stack(), self._method)}). Use 'stbench predict'."
            )
        return func(*args, **(kwargs or {}))


class _Physical(nn.Module):
    """A method between its scalings: physical units in and out."""

    def __init__(self, method: Method, scaling: Scaling) -> None:
        super().__init__()
        self.method = method
        self.scaling = scaling

    def forward(self, past: Tensor) -> Tensor:
        return self.scaling.to_physical(self.method(self.scaling.to_model(past)).float())


def export_run(run: Path, kind: Format, out: Path, batch: int = 1) -> Exported:
    """Export a finished run.

    Args:
        run: its folder.
        kind: of the program.
        out: file, replaced if it exists.
        batch: clips of one call.

    Raises:
        UserError: it is no finished run, a package is missing, the method computes outside torch, an operator cannot
            be exported, or the program does not reproduce the predictions.
    """
    folder = finished_run(run)
    spec, scaling = folder.spec(), folder.result().scaling
    if scaling is None:
        raise UserError(f"{run} does not say how its values are scaled. Delete its result.json and run it again.")
    method = METHODS.get(spec.plugin).create(spec.shape, spec.config, spec.method)
    load_best(folder, method)
    exact = spec.training is None or spec.training.precision == "32"
    recorded = _recorded(folder.file("samples.npz"), spec, scaling) if exact else []
    return export(method, scaling, spec, kind, out, recorded, batch)


def export(
    method: Method,
    scaling: Scaling,
    spec: RunSpec,
    kind: Format,
    file: Path,
    recorded: list[tuple[Tensor, Tensor]],
    batch: int = 1,
) -> Exported:
    """Write a method as a program.

    Args:
        method: with its weights, on the CPU.
        scaling: between model space and physical units.
        spec: names the run and its shape.
        kind: of the program.
        file: replaced once the program is checked.
        recorded: clips that the run predicted: past (T_in, C, H, W) and prediction (T_out, C, H, W), physical units.
        batch: clips of one call.

    Raises:
        UserError: as :func:`export_run`.
    """
    for package in ("onnxscript", "onnxruntime") if kind == "onnx" else ():
        if find_spec(package) is None:
            raise UserError(f"--format onnx needs {package}: pip install 'stbench[onnx]'")
    module = _Physical(method, scaling).eval()
    drawn = torch.rand((DRAWN + 1) * batch, *spec.shape.past(1)[1:], generator=torch.Generator().manual_seed(0))
    example, *pasts = torch.split(scaling.to_physical(drawn), batch)
    found: list[float] = []

    def write(temporary: Path) -> None:
        with _refusals(method, spec.method, kind), torch.no_grad(), _quiet():
            with _StayInside(method, spec.method):
                module(example)
            WRITERS[kind](module, example, temporary)
            program = READERS[kind](temporary)
            found.extend(_difference(program(past), module(past)) for past in pasts)
            old = [_difference(program(past.expand_as(example))[0], pred) for past, pred in recorded]
        _check(found, TOLERANCE, f"{spec.method} cannot be exported as {kind}", "the method's predictions")
        what = "the predictions that the run recorded, perhaps with dates, which a program is not given"
        _check(old, RECORDED_TOLERANCE, f"{spec.method} cannot be exported as {kind}", what)

    write_with(file, write)
    return Exported(file, spec.shape.past(batch), spec.shape.future(batch), max(found), len(recorded))


def _difference(got: Tensor, wanted: Tensor) -> float:
    return float((got - wanted).abs().max() / wanted.abs().max().clamp(min=1e-12))


def _check(differences: list[float], allowed: float, refusal: str, what: str) -> None:
    """Compare each difference, which may be NaN, with the one that is allowed.

    Raises:
        UserError: one is larger.
    """
    for found in differences:
        if not found <= allowed:
            raise UserError(
                f"{refusal}: the program differs by {found:.1e} of the largest value from {what} "
                f"(allowed: {allowed:g}). Use 'stbench predict'."
            )


def _recorded(file: Path, spec: RunSpec, scaling: Scaling) -> list[tuple[Tensor, Tensor]]:
    """Past and prediction of the sample clips, physical units; none if they are missing or lack values."""
    arrays = read_samples(file, spec.shape)
    if not arrays:
        return []
    pasts, predictions = (
        scaling.to_physical(torch.from_numpy(arrays[name]).float()) for name in ("past", "prediction")
    )
    pairs = zip(pasts, predictions, strict=True)
    return [(past, prediction) for past, prediction in pairs if past.isfinite().all()]


@contextmanager
def _refusals(method: Method, name: str, kind: str) -> Iterator[None]:
    """Turn what an exporter raises into one line with the operator, where it is named, and its place.

    Raises:
        UserError: the exporter failed.
    """
    try:
        yield
    except (UserError, OSError, MemoryError):
        raise
    except Exception as error:
        text = "".join(traceback.format_exception(error))
        cause: BaseException = error
        while cause.__cause__ is not None:  # exporters wrap what happened in advice of several lines
            cause = cause.__cause__
        operator = next(iter(_OPERATOR.findall(text)), type(cause).__name__)
        place = _place(traceback.extract_tb(cause.__traceback__), method)
        raise UserError(
            f"{name} cannot be exported as {kind}: {operator}{place}: {first_line(cause).rstrip('.')}."
            f" Try another --format: {', '.join(other for other in SUFFIXES if other != kind)}."
        ) from error


def _place(frames: traceback.StackSummary, method: Method) -> str:
    """Name the innermost line in the package of the method or of its building blocks; empty if there is none."""
    folders = {Path(inspect.getfile(kind)).parent for kind in (type(method), Method)}
    own = [frame for frame in frames if Path(frame.filename).parent in folders]
    return f" in {own[-1].name} ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what exporters print and warn of to themselves."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _write_export(module: nn.Module, example: Tensor, file: Path) -> None:
    with file.open("wb") as stream:
        torch.export.save(torch.export.export(module, (example,), strict=False), stream)


def _read_export(file: Path) -> Program:
    with file.open("rb") as stream:
        return cast("Program", torch.export.load(stream).module())


def _write_script(module: nn.Module, example: Tensor, file: Path) -> None:
    trace = cast("Any", torch.jit.trace)
    trace(module, (example,), check_trace=False).save(str(file))


def _read_script(file: Path) -> Program:
    return cast("Program", cast("Any", torch.jit.load)(str(file)))


def _write_onnx(module: nn.Module, example: Tensor, file: Path) -> None:
    names = {"input_names": ["past"], "output_names": ["future"]}
    program = torch.onnx.export(module, (example,), dynamo=True, opset_version=OPSET, verbose=False, **names)  # type: ignore[arg-type]
    assert program is not None, "the dynamo exporter returns a program"
    file.write_bytes(program.model_proto.SerializeToString())


def _read_onnx(file: Path) -> Program:
    import onnxruntime

    session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    return lambda past: torch.from_numpy(session.run(None, {"past": past.numpy()})[0])


WRITERS: dict[Format, Callable[[nn.Module, Tensor, Path], None]] = {
    "torch_export": _write_export,
    "torchscript": _write_script,
    "onnx": _write_onnx,
}
READERS: dict[Format, Callable[[Path], Program]] = {
    "torch_export": _read_export,
    "torchscript": _read_script,
    "onnx": _read_onnx,
}
