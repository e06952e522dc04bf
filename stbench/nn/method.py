"""The contract every method keeps; ``lookup.py`` builds one by name.

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
from stbench.nn.public import PublicLayout
from stbench.schema import Benchmark, ClipShape, Record

Times: TypeAlias = Tensor
"""When frames were taken, (B, T): int64 minutes since 1970-01-01 00:00 on the data's own clock."""


@dataclass(frozen=True)
class Progress:
    """Where training stands; schedules inside a method are functions of it alone, so a resumed run is exact.

    Attributes:
        step: optimiser steps done so far.
        epoch: epochs done so far.
        total_steps, total_epochs: length of the whole run.
        generator: source of every random draw of a method (on the CPU); None means torch's default one.
    """

    step: int = 0
    epoch: int = 0
    total_steps: int = 1
    total_epochs: int = 1
    generator: torch.Generator | None = None


@dataclass(frozen=True)
class Paper:
    """Where a method comes from."""

    title: str
    authors: str
    venue: str
    url: str

    def __str__(self) -> str:
        return f"{self.authors}, {self.venue}"


class MethodConfig(Record):
    """Hyperparameters of a method; a method's own ``Config`` adds its fields, each with a default."""


class EncoderConfig(MethodConfig):
    """Hyperparameters of a method that can run on the shared strided encoder/decoder.

    ``encoder`` "paper" is the method's own encoder; "shared" is :class:`stbench.nn.StridedEncoder` with
    ``n_s`` blocks of ``hid_s`` channels.
    """

    encoder: Literal["paper", "shared"] = "paper"
    hid_s: PositiveInt = 32
    n_s: PositiveInt = 2
    kernel_enc: PositiveInt = 3
    kernel_dec: PositiveInt = 3


class Method(nn.Module):
    """A spatiotemporal predictor.

    A subclass declares ``Config``, ``paper`` and ``summary``, and writes ``forward`` and, when the loss is not plain
    MSE, ``training_losses``. It keeps no rollout state on the module.
    """

    Config: ClassVar[type[MethodConfig]] = MethodConfig
    paper: ClassVar[Paper | None] = None
    summary: ClassVar[str] = ""
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Named settings of Config: ``method:variant``."""
    public_layout: ClassVar[PublicLayout] = PublicLayout()
    """How the field's published checkpoints name the parameters."""
    small: ClassVar[Mapping[str, Any]] = {}
    """Settings of Config that make the method cheap to build and train; ``stbench check`` and tests use them."""
    ask_for: ClassVar[tuple[str, ...]] = ()
    """Settings of Config that several values of fit one published file: who scores the file has to give them."""
    presets: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {}
    """Recommended settings: protocol name -> key -> ``{"config": {...}, "training": {...}}``.

    A key is ``"*"``, a benchmark's family (``"traffic"``) or its name; they are merged in this order. Then come the
    same keys with a variant (``"traffic:VARIANT"``), for runs whose method name has it. A protocol that extends another
    gets the other's presets first. What a benchmark's own file says about the method ranks above.

    ``"published_for": ["taxibj"]`` beside them names the benchmarks that the values were published for: on any other
    one, the origin of each value says that none were published for it.
    """

    activation_checkpointing: bool = False
    """Whether training keeps as little of a rollout as it can; set where a run is set up."""

    def __init__(self, shape: ClipShape, config: MethodConfig) -> None:
        super().__init__()
        self.shape = shape
        self.config = config

    @classmethod
    def skip(cls, benchmark: Benchmark) -> str | None:  # noqa: ARG003 - the default answer needs no look
        """Reason why this method cannot run on a benchmark, or None."""
        return None

    @classmethod
    def adapt(cls, benchmark: Benchmark) -> dict[str, Any]:  # noqa: ARG003 - the default answer needs no look
        """Hyperparameters that fit a benchmark's value range; they rank above Config's defaults only."""
        return {}

    @property
    def trainable(self) -> bool:
        """Whether there is anything to train."""
        return any(p.requires_grad for p in self.parameters())

    def fit(self, clips: Iterable[Tensor]) -> None:
        """Look at the training clips (B, T, C, H, W) once; only methods without trained parameters are asked to.

        What a method finds belongs in buffers, so that it is saved with the weights.
        """

    def fit_at(self, batches: Iterable[tuple[Tensor, Times | None]]) -> None:
        """What the harness calls: :meth:`fit` with the clips' times (B, T), None where the data have no dates.

        A method that uses dates overrides this and :meth:`predict_at`; any other never hears of them.
        """
        self.fit(clip for clip, _ in batches)

    def idle_macs(self) -> int:
        """Multiply-adds of one clip's published count that this forward leaves out.

        Published counts include convolutions of states that are known to be all zero, and terms that only training
        needs; what an operator counter sees of :meth:`forward` plus this number is the published convention. Negative
        where published counts leave out, or round down, what this forward does.
        """
        return 0

    def forward(self, past: Tensor) -> Tensor:
        """Predict the future: (B, T_in, C, H, W) -> (B, T_out, C, H, W)."""
        raise NotImplementedError

    def predict_at(self, past: Tensor, times: Times | None) -> Tensor:  # noqa: ARG002 - the default uses no dates
        """What the harness calls: :meth:`forward` with the dates of the past and the future frames, known beforehand.

        Args:
            past: (B, T_in, C, H, W).
            times: (B, T_in+T_out), or None where the data have no dates.

        Returns:
            (B, T_out, C, H, W).
        """
        return self(past)  # type: ignore[no-any-return]

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Run :meth:`forward` through torch.compile from now on; arguments are torch.compile's.

        A forecaster compiles the part that it repeats.
        """
        self.forward = torch.compile(self.forward, *args, **kwargs)  # type: ignore[method-assign]

    def check_past(self, past: Tensor) -> None:
        """Refuse a past that is not a tensor (B, T_in, C, H, W) of this method's shape and number type.

        Raises:
            UserError: with what was seen and what was expected.
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

    def training_losses(self, past: Tensor, future: Tensor, progress: Progress) -> dict[str, Tensor]:  # noqa: ARG002
        """Named scalar loss terms, their sum under ``"loss"``; by default the mean squared error of the prediction."""
        mse = nn.functional.mse_loss(self(past), future)
        return {"loss": mse, "mse": mse}

    @classmethod
    def infer_config(cls, state_dict: Mapping[str, Tensor], shape: ClipShape) -> dict[str, Any]:  # noqa: ARG003
        """Hyperparameters that show in the shapes of a published state dict (public layout); the rest is left out."""
        return {}

    def public_key_map(self) -> dict[str, str]:
        """Own state-dict key -> key in the field's published checkpoints."""
        return self.public_layout.key_map(self.state_dict().keys())

    def load_public_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Load weights in the field's published layout.

        Known dead parameters and derived buffers are accepted and dropped; second copies must equal the first.

        Raises:
            UserError: keys are missing or unexpected, shapes differ, or two copies of one tensor disagree.
        """
        self.load_state_dict(self.public_layout.to_own(state_dict, self.state_dict(), type(self).__name__))

    def public_state_dict(self) -> dict[str, Tensor]:
        """The weights in the field's published layout (without its dead parameters)."""
        keys = self.public_key_map()
        return {keys[own]: tensor for own, tensor in self.state_dict().items()}

    @classmethod
    def create(cls, shape: ClipShape, hyperparameters: Mapping[str, Any], name: str) -> Self:
        """Validate hyperparameters and build the method.

        Raises:
            UserError: a hyperparameter is unknown or wrong, or the method cannot be built with it at this shape.
            MemoryError: the method is too large for this machine.
        """
        config = cls.Config.parse(dict(hyperparameters), f"method {name!r}")
        try:
            return cls(shape, config)
        except UserError:
            raise
        except Exception as error:  # whatever a constructor, the plugin's or torch's, makes of unusual sizes
            raise _unbuildable(name, config, error) from error


def _unbuildable(name: str, config: MethodConfig, error: Exception) -> UserError | MemoryError:
    given = ", ".join(f"{key}={value!r}" for key, value in config.model_dump(exclude_defaults=True).items())
    reason = (str(error).splitlines() or [""])[0].rstrip(".")
    text = f"method {name!r} cannot be built with {given or 'its defaults'}: {type(error).__name__}: {reason}."
    if is_out_of_memory(error):
        return MemoryError(f"{text} Choose smaller sizes.")
    return UserError(f"{text} Change the settings, or the shape they are for.")
