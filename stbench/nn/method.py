"""The contract of methods; ``lookup.py`` builds one by name.

Axes: B batch, T time, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, TypeAlias, cast

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from stbench.errors import UserError, is_out_of_memory
from stbench.nn.missing import Known, mean_squared_error
from stbench.nn.padding import IndivisibleError, is_too_large, mirror, next_shape
from stbench.nn.public import PublicLayout
from stbench.schema import Benchmark, ClipShape, Record

Times: TypeAlias = Tensor
"""Times of frames (B, T): int64 seconds since 1970-01-01 00:00 in the time zone of the data."""


@dataclass(frozen=True)
class Progress:
    """Progress of training. A method's schedules depend on nothing else, so a resumed run is exact.

    Attributes:
        step: optimiser steps done so far.
        epoch: epochs done so far.
        total_steps, total_epochs: length of the whole run.
        generator: CPU generator for all random draws of a method; None means torch's default one. All processes of a
            run have the same one.
        rank, world_size: which share of a global batch this process has.
        known: cells of the clip, past and future, that have a value; None where all have one.
    """

    step: int = 0
    epoch: int = 0
    total_steps: int = 1
    total_epochs: int = 1
    generator: torch.Generator | None = None
    rank: int = 0
    world_size: int = 1
    known: Known | None = None

    def known_from(self, start: int) -> Known | None:
        """Return the known cells of a clip from frame ``start`` on; None where all have a value."""
        return None if self.known is None else self.known.frames(start)

    def rand(self, batch: int, *sizes: int) -> Tensor:
        """Draw uniform numbers (batch, *sizes) for the samples of this process.

        They are drawn for the whole global batch, so that several processes draw what one would.
        """
        drawn = torch.rand(batch * self.world_size, *sizes, generator=self.generator)
        return drawn[self.rank * batch : (self.rank + 1) * batch]


@dataclass(frozen=True)
class Paper:
    """The publication of a method."""

    title: str
    authors: str
    venue: str
    url: str

    def __str__(self) -> str:
        return f"{self.authors}, {self.venue}"


class MethodConfig(Record):
    """Hyperparameters of a method; its ``Config`` derives from this and gives each field a default."""


class EncoderConfig(MethodConfig):
    """Hyperparameters of a method that can run on the shared strided codec.

    ``encoder``: "paper" is the encoder of the method's paper; "shared" is :class:`stbench.nn.StridedEncoder` with
    ``n_s`` blocks of ``hid_s`` channels.
    """

    encoder: Literal["paper", "shared"] = "paper"
    hid_s: PositiveInt = 32
    n_s: PositiveInt = 2
    kernel_enc: PositiveInt = 3
    kernel_dec: PositiveInt = 3


class Method(nn.Module):
    """A spatiotemporal predictor.

    A subclass declares ``Config``, ``paper`` and ``summary``. It implements ``forward`` and, unless the loss is MSE,
    ``training_losses``. It keeps no rollout state on the module.
    """

    Config: ClassVar[type[MethodConfig]] = MethodConfig
    paper: ClassVar[Paper | None] = None
    summary: ClassVar[str] = ""
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Named settings of Config: ``method:variant``."""
    public_layout: ClassVar[PublicLayout] = PublicLayout()
    """Parameter names in public checkpoints."""
    small: ClassVar[Mapping[str, Any]] = {}
    """Settings of Config that make the method cheap to build and train, for ``stbench check`` and tests."""
    ask_for: ClassVar[tuple[str, ...]] = ()
    """Settings of Config that a published file does not determine; the user has to give them to score the file."""
    presets: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {}
    """Recommended settings: protocol name -> key -> ``{"config": {...}, "training": {...}}``.

    A key is ``"*"``, a benchmark's family (``"traffic"``) or its name; they are merged in this order. The same keys
    with a variant (``"traffic:VARIANT"``) follow, for runs of that variant. A protocol that extends another gets the
    other's presets first. Settings in a benchmark's own files override presets.

    ``"published_for": ["taxibj"]`` beside them names the benchmarks for which the values were published. On any other
    benchmark, the origin of each value says that none were published for it.
    """

    leaves_out_missing: ClassVar[bool] = True
    """Whether losses leave out cells without a value (``progress.known``), and a fit those that are NaN.

    A subclass with its own ``training_losses``, ``fit`` or ``fit_at`` declares it again, or is refused on such data.
    Inputs never hold NaN: the harness fills them (:mod:`stbench.nn.missing`).
    """
    pads_frames: ClassVar[bool] = False
    """Whether it goes through :meth:`pad` and :meth:`crop`, so that frames need not divide; forecasters do."""

    activation_checkpointing: bool = False
    """Whether training recomputes each rollout step in the backward pass; set when a run is set up."""

    def __init__(self, shape: ClipShape, config: MethodConfig) -> None:
        super().__init__()
        self.shape = shape
        """What is read and predicted: the data's own shape."""
        self.net_shape = shape
        """What the network computes at: ``shape``, or a larger frame that divides (:mod:`stbench.nn.padding`)."""
        self.config = config

    @classmethod
    def skip(cls, benchmark: Benchmark) -> str | None:  # noqa: ARG003 - the default answer needs no look
        """Return the reason why this method cannot run on a benchmark, or None."""
        return None

    @classmethod
    def adapt(cls, benchmark: Benchmark) -> dict[str, Any]:  # noqa: ARG003 - the default answer needs no look
        """Return hyperparameters that fit the method to a benchmark; they override only the defaults of Config."""
        return {}

    @property
    def trainable(self) -> bool:
        """True if the method has parameters to train."""
        return any(p.requires_grad for p in self.parameters())

    def fit(self, clips: Iterable[Tensor]) -> None:
        """Fit to training clips (B, T, C, H, W), read once; called only for methods without trained parameters.

        Store results in buffers, which are saved with the weights. Cells without a value are NaN.
        """

    def fit_at(self, batches: Iterable[tuple[Tensor, Times | None]]) -> None:
        """Fit to training clips and their times (B, T), or None for data without dates. The harness calls this.

        By default it calls :meth:`fit`. A method that uses dates overrides this and :meth:`predict_at`.
        """
        self.fit(clip for clip, _ in batches)

    def idle_macs(self) -> int:
        """Return the multiply-adds per clip that published counts include and this forward pass does not.

        Published counts include convolutions of zero states and terms that only training needs. The count of
        :meth:`forward` plus this number follows the published convention. It is negative if published counts leave out,
        or round down, what this forward pass does.
        """
        return 0

    def forward(self, past: Tensor) -> Tensor:
        """Predict the future: (B, T_in, C, H, W) -> (B, T_out, C, H, W)."""
        raise NotImplementedError

    def predict_at(self, past: Tensor, times: Times | None) -> Tensor:  # noqa: ARG002 - the default uses no dates
        """Predict with the times of past and future frames, which are known beforehand. The harness calls this.

        By default it calls :meth:`forward`.

        Args:
            past: (B, T_in, C, H, W).
            times: (B, T_in+T_out), or None for data without dates.

        Returns:
            (B, T_out, C, H, W).
        """
        return self(past)  # type: ignore[no-any-return]

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Run :meth:`forward` through torch.compile from now on; takes torch.compile's arguments.

        Feed-forward and recurrent methods compile the part that they repeat.
        """
        self.forward = torch.compile(self.forward, *args, **kwargs)  # type: ignore[method-assign]

    def pad(self, frames: Tensor) -> Tensor:
        """Frames (…, H, W) of the data's size -> of the network's size, mirrored where that is larger."""
        same = self.net_shape == self.shape
        return frames if same else mirror(frames, self.net_shape.height, self.net_shape.width)

    def crop(self, frames: Tensor) -> Tensor:
        """Frames (…, H', W') of the network's size -> of the data's size."""
        same = self.net_shape == self.shape
        return frames if same else frames[..., : self.shape.height, : self.shape.width]

    def check_past(self, past: Tensor) -> None:
        """Check that a past is a tensor (B, T_in, C, H, W) of this method's shape and dtype.

        Raises:
            UserError: it is not.
        """
        name, kind = type(self).__name__, type(cast("Any", past)).__name__
        if not isinstance(past, Tensor):
            raise UserError(f"{name} reads a torch tensor, got a {kind}. Convert it, e.g. with torch.as_tensor.")
        expected = (self.shape.t_in, *self.shape.frame)
        if tuple(past.shape[1:]) != expected or not past.shape[0]:
            raise UserError(
                f"{name} was built for pasts (B, T_in, C, H, W) = (B, {', '.join(map(str, expected))}), "
                f"got {tuple(past.shape)}. Cut or transpose the past, or build the method for its shape."
            )
        own = next((parameter.dtype for parameter in self.parameters()), past.dtype)
        mixed = past.dtype != own and not torch.is_autocast_enabled(past.device.type)
        if mixed or not past.is_floating_point():
            wanted = own if own.is_floating_point else torch.float32
            raise UserError(f"{name} computes in {wanted}, got {past.dtype}. Convert the past with .to({wanted}).")

    def members_at(self, past: Tensor, times: Times | None) -> Tensor | None:  # noqa: ARG002 - most have one prediction
        """Members of an ensemble, (M, B, T_out, C, H, W), whose mean is the prediction; None where there is but one.

        Called in place of :meth:`predict_at`, with its arguments.
        """
        return None

    def training_losses(self, past: Tensor, future: Tensor, progress: Progress) -> dict[str, Tensor]:
        """Return named scalar loss terms, with the total under ``"loss"``; by default the MSE of the prediction."""
        mse = mean_squared_error(self(past), future, progress.known_from(self.shape.t_in))
        return {"loss": mse, "mse": mse}

    @classmethod
    def infer_config(cls, state_dict: Mapping[str, Tensor], shape: ClipShape) -> dict[str, Any]:  # noqa: ARG003
        """Infer hyperparameters from the tensor shapes of a public state dict; leave out those that do not show."""
        return {}

    def public_key_map(self) -> dict[str, str]:
        """Return a map from own state-dict keys to those in public checkpoints."""
        return self.public_layout.key_map(self.state_dict().keys())

    def load_public_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Load weights in the public layout.

        Known dead parameters and derived buffers are dropped; duplicates must be equal.

        Raises:
            UserError: keys are missing or unexpected, shapes differ, or duplicates disagree.
        """
        self.load_state_dict(self.public_layout.to_own(state_dict, self.state_dict(), type(self).__name__))

    def public_state_dict(self) -> dict[str, Tensor]:
        """Return the weights in the public layout, without its dead parameters."""
        keys = self.public_key_map()
        return {keys[own]: tensor for own, tensor in self.state_dict().items()}

    @classmethod
    def create(cls, shape: ClipShape, hyperparameters: Mapping[str, Any], name: str) -> Self:
        """Validate hyperparameters and build the method, for larger frames inside where the shape's do not divide.

        Raises:
            UserError: a hyperparameter is unknown or wrong, or the method cannot be built with it at this shape.
            MemoryError: the method is too large for this machine.
        """
        config = cls.Config.parse(dict(hyperparameters), f"method {name!r}")
        try:
            method = cls._build(shape, config)
            method.net_shape, method.shape = method.shape, shape
            return method
        except UserError:
            raise
        except Exception as error:  # a plugin's or torch's constructor may raise anything for unusual sizes
            raise _unbuildable(name, config, error) from error

    @classmethod
    def _build(cls, shape: ClipShape, config: MethodConfig) -> Self:
        """The method for the smallest frame that contains the shape's and divides by all that it needs."""
        tried, first = shape, None
        while True:
            try:
                return cls(tried, config)
            except IndivisibleError as error:
                first = first or error
                tried = next_shape(tried, error)
                if not cls.pads_frames or is_too_large(tried, shape):
                    raise first from None


def _unbuildable(name: str, config: MethodConfig, error: Exception) -> UserError | MemoryError:
    given = ", ".join(f"{key}={value!r}" for key, value in config.model_dump(exclude_defaults=True).items())
    reason = (str(error).splitlines() or [""])[0].rstrip(".")
    text = f"method {name!r} cannot be built with {given or 'its defaults'}: {type(error).__name__}: {reason}."
    if is_out_of_memory(error):
        return MemoryError(f"{text} Choose smaller sizes.")
    return UserError(f"{text} Change the settings, or the shape they are for.")
