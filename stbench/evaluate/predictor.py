"""A finished run as a library object that predicts in physical units.

Axes: B batch, T time, C channels, H, W.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stbench.errors import UserError
from stbench.evaluate.times import Dates, clip_times
from stbench.nn import METHODS, Method, Times
from stbench.schema import RunSpec, Scaling
from stbench.schema.folder import RunFolder, finished_run
from stbench.train.checkpoint import find_best, load_weights
from stbench.train.engine import DeviceName, Engine

Array = TypeVar("Array", npt.NDArray[np.generic], Tensor)


def load(run_dir: Path | str, device: DeviceName = "auto") -> Predictor:
    """Load the best weights of a finished run.

    Args:
        run_dir: a folder below ``OUT/runs/``.
        device: "auto" uses CUDA if available.

    Raises:
        UserError: it is not a finished run, its weights are damaged, it has no recorded scaling, or the method's code
            changed.
    """
    folder = finished_run(Path(run_dir))
    spec, scaling = folder.spec(), folder.result().scaling
    if scaling is None:
        raise UserError(f"{run_dir} does not say how its values are scaled. Delete its result.json and run it again.")
    engine = Engine.of_run(spec, device)
    method = METHODS.get(spec.plugin).create(spec.shape, spec.config, spec.method)
    load_best(folder, method)
    return Predictor(spec, scaling, method, engine)


def load_best(folder: RunFolder, method: Method) -> None:
    """Load a run's best weights.

    Raises:
        UserError: there are none, they are damaged, or they do not fit the current code of the method.
    """
    path = find_best(folder)
    try:
        load_weights(path, method)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path} does not fit {type(method).__name__} as its code is now ({reason}). "
            "Check out the code the run was made with (environment.json names it), or run it again."
        ) from error


class Predictor:
    """Predict with the weights of a run.

    Attributes:
        spec: the run's resolved spec; ``spec.shape`` is the shape in training.
        scaling: model space <-> physical units.
    """

    def __init__(self, spec: RunSpec, scaling: Scaling, method: Method, engine: Engine) -> None:
        self.spec = spec
        self.scaling = scaling
        self._engine = engine
        self._methods = {spec.shape.t_out: engine.place(method).eval()}

    def __repr__(self) -> str:
        shape = self.spec.shape
        return f"Predictor({self.spec.method} on {self.spec.benchmark}, {shape.t_in}->{shape.t_out}, {shape.frame})"

    def predict(self, past: Array, *, horizon: int | None = None, times: Dates | None = None) -> Array:
        """Predict the next frames.

        Args:
            past: (T_in, C, H, W) or (B, T_in, C, H, W) in physical units, numpy or torch, any number type.
            horizon: number of frames, by default the run's T_out. A recurrent method continues its rollout; a
                feed-forward method reads its output again.
            times: times of the past frames (numpy datetime64, ISO dates, or seconds since 1970-01-01 00:00, in the
                time zone of the training data): (T_in,) or (B, T_in), evenly spaced, or (…, T_in + horizon). Only
                methods that use dates read them; without times, means by time of day become the mean of all frames.

        Returns:
            (T, C, H, W) or (B, T, C, H, W) float32 in physical units, of the same type (and on the same device).

        Raises:
            UserError: the past is not an array of numbers, has a wrong shape or values that are not finite, the method
                cannot predict the horizon, or the times do not fit the clips.
        """
        if not isinstance(past, np.ndarray | Tensor) or (
            isinstance(past, np.ndarray) and past.dtype.kind not in "biuf"
        ):
            seen = f"an array of {past.dtype}" if isinstance(past, np.ndarray) else f"a {type(past).__name__}"
            raise UserError(f"The past is {seen}. Give a numpy array or a torch tensor of numbers.")
        horizon = self.spec.shape.t_out if horizon is None else horizon
        method = self._method(horizon)
        clips = torch.as_tensor(past.astype(np.float32) if isinstance(past, np.ndarray) else past).float()
        self._check(clips)
        single = clips.ndim == 4
        clips = clips[None] if single else clips
        model = self.scaling.to_model(clips.to(self._engine.device))
        dates = None if times is None else clip_times(times, len(clips), self.spec.shape.t_in, horizon)
        future = self.scaling.to_physical(self._batches(method, model, dates))
        future = future[0] if single else future
        return future.to(past.device).clone() if isinstance(past, Tensor) else future.cpu().numpy()

    def _batches(self, method: Method, past: Tensor, times: Times | None) -> Tensor:
        """Predict any number of clips in model space, in batches of the size of the run's scoring."""
        size = self.spec.evaluation.batch_size
        parts = torch.split(past, size)
        dates = [None] * len(parts) if times is None else torch.split(times, size)
        return torch.cat([self._engine.predict(method, *pair) for pair in zip(parts, dates, strict=True)])

    def _check(self, clips: Tensor) -> None:
        shape = self.spec.shape
        expected = (shape.t_in, *shape.frame)
        seen = tuple(clips.shape)
        if clips.ndim not in (4, 5) or seen[-4:] != expected or not clips.numel():
            longer = clips.ndim in (4, 5) and seen[-3:] == expected[1:] and seen[-4] > shape.t_in
            hint = f" Give the last {shape.t_in} frames." if longer else ""
            raise UserError(
                f"The past has shape {seen}; {self.spec.method} on {self.spec.benchmark} reads (T, C, H, W) = "
                f"{expected}, with or without a batch axis in front.{hint}"
            )
        bad = int((~clips.isfinite()).sum())
        if bad:
            raise UserError(f"The past holds {bad} values that are NaN or infinite. Fill the gaps first.")

    def _method(self, horizon: int) -> Method:
        """Return the method for a horizon; all horizons share one set of weights."""
        if horizon < 1:
            raise UserError(f"horizon = {horizon}: give a number of frames, at least 1.")
        if horizon not in self._methods:
            trained = self._methods[self.spec.shape.t_out]
            shape = self.spec.shape.model_copy(update={"t_out": horizon})
            try:
                method = METHODS.get(self.spec.plugin).create(shape, self.spec.config, self.spec.method)
                method.load_state_dict(trained.state_dict(), assign=True)
            except (UserError, RuntimeError) as error:
                raise UserError(f"{self.spec.method} cannot predict {horizon} frames: {error}") from error
            self._methods[horizon] = method.to(self._engine.device).eval()
        return self._methods[horizon]
