"""Devices, precision and processes. Only this file and ``fabric_group`` import lightning-fabric.

All other code uses plain tensors and modules, independent of devices.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import Tensor

from stbench.errors import UserError
from stbench.nn import Known, Method, Progress, RecurrentForecaster, Times
from stbench.nn.missing import fill_clip
from stbench.train.group import join_group
from stbench.train.heap import keep_large_blocks, release_unused
from stbench.train.launch import Launch, check_launch, read_launch
from stbench.train.one_batch import act_as_one
from stbench.train.subnormals import subnormals_as_zero, workers_take_them_as_zero

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from stbench.schema import RunSpec

DeviceName = Literal["auto", "cpu", "cuda"]
_FABRIC_PRECISION = {"32": "32-true", "bf16": "bf16-mixed"}
_IMAGE_AXES = 4
MEETING_SECONDS = 60.0
ALONE = Launch("stbench", world_size=1, rank=0, local_rank=0)


def takes_cuda(device: DeviceName, processes: int) -> bool:
    """Return whether an engine with these settings computes on CUDA.

    Raises:
        UserError: CUDA is requested but missing, or there are fewer devices than processes.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: no CUDA device is visible to torch. Use --device cpu (or auto).")
    use_cuda = device != "cpu" and torch.cuda.is_available()
    if use_cuda and processes > torch.cuda.device_count():
        raise UserError(f"{processes} processes, but {torch.cuda.device_count()} CUDA devices. Ask for fewer.")
    return use_cuda


class Engine:
    """Run methods on the chosen devices.

    Args:
        device: "auto" uses CUDA if available.
        precision: "32" (float32, TF32 off) or "bf16" (autocast; weights and optimiser stay float32).
        processes: data-parallel processes on this machine, and on every other node.
        nodes: machines; torchrun or srun has started this command on each.
        alone: whether this process works by itself for the command, whatever a launcher's variables say.
        idle: whether it hands its runs to other processes, and is to start without what only computing needs.

    Raises:
        UserError: CUDA is requested but missing, there are fewer devices than processes, or a launcher started
            another number of processes.
        MachineError: the other processes did not come.
    """

    def __init__(
        self,
        device: DeviceName = "auto",
        precision: str = "32",
        processes: int = 1,
        nodes: int = 1,
        *,
        alone: bool = False,
        idle: bool = False,
    ) -> None:
        if not alone:
            check_launch(processes, nodes, needs_all=False)
        self._on_cuda = takes_cuda(device, processes)
        if self._on_cuda:  # torch's own default lets convolutions round to TF32
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        else:
            keep_large_blocks()
            workers_take_them_as_zero()
        several = processes * nodes > 1
        self.precision = precision
        self.nodes = nodes
        self._processes = processes
        self._records_graphs = False
        self._group = join_group(read_launch(), processes, "nccl" if self._on_cuda else "gloo") if several else None
        if several or not idle:
            self._fabric  # noqa: B018 - now: the time of runs is measured
        self._meeting: Any = torch.distributed.new_group(backend="gloo") if several else None

    @cached_property
    def _fabric(self) -> Fabric:
        from lightning_fabric import Fabric  # brings in torch's compiler, seconds that a plan need not wait for

        from stbench.train.fabric_group import KnownEnvironment

        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # the command line says what runs where
        fabric = Fabric(
            accelerator="cuda" if self._on_cuda else "cpu",
            devices=self._processes,
            num_nodes=self.nodes,
            strategy="auto" if self._group is None else "ddp",
            precision=cast("Any", _FABRIC_PRECISION[self.precision]),
            plugins=KnownEnvironment(ALONE if self._group is None else self._group.launch),
        )
        fabric.launch()
        return fabric

    @classmethod
    def of_run(cls, spec: RunSpec, device: DeviceName = "auto") -> Engine:
        """Return an engine of the precision in which a run was trained; float32 for an untrained one.

        Raises:
            UserError: CUDA is asked for and absent.
        """
        return cls(device, "32" if spec.training is None else spec.training.precision)

    @property
    def device(self) -> torch.device:
        """Device of this process."""
        return self._fabric.device if self._on_cuda else torch.device("cpu")

    @property
    def rank(self) -> int:
        """Number of this process."""
        return 0 if self._group is None else self._group.launch.rank

    @property
    def world_size(self) -> int:
        """Number of processes."""
        return 1 if self._group is None else self._group.launch.world_size

    @property
    def is_main(self) -> bool:
        """True for the process that writes files and prints messages."""
        return self.rank == 0

    def place(self, method: Method) -> Method:
        """Move a method to the device, with convolutions in channels-last order, which is faster."""
        method.to(self.device)
        for tensor in (*method.parameters(), *method.buffers()):
            if tensor.ndim == _IMAGE_AXES:  # those of 3-D convolutions have five axes, for which there is no such order
                tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
        return method

    def compile(self, method: Method) -> None:
        """Run the repeated part of a method through torch.compile, on CUDA as recorded CUDA graphs."""
        self._records_graphs = self.device.type == "cuda"
        method.compile(mode="reduce-overhead" if self._records_graphs else None)

    def new_iteration(self) -> None:
        """Start a new iteration: CUDA graphs may reuse the last one's outputs."""
        if self._records_graphs:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]

    def release_unused(self) -> None:
        """Return free heap pages to the kernel on a CPU (:func:`stbench.train.heap.release_unused`)."""
        if self.device.type == "cpu":
            release_unused()

    def wrap(self, method: Method, optimizer: torch.optim.Optimizer, *, incomplete: bool = False) -> TrainingModule:
        """Set up a method for training: autocast, data-parallel gradients, accumulation.

        ``incomplete``: clips may be NaN where nothing was measured.
        """
        self.release_unused()
        if self.world_size > 1:
            act_as_one(method)
            # Depth-wise kernels of channels-last convolutions: a copy per step, no error.
            warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
        module, wrapped = self._fabric.setup(method, optimizer, move_to_device=False)
        module.mark_forward_method("training_losses")
        if isinstance(method, RecurrentForecaster):
            method.register_rollout_hook(self.release_unused)
        return TrainingModule(self, self._fabric, module, wrapped, incomplete=incomplete)

    @torch.inference_mode()
    @subnormals_as_zero()
    def predict(self, method: Method, past: Tensor, times: Times | None = None) -> Tensor:
        """Predict in evaluation mode, float32: (B, T_in, C, H, W) -> (B, T_out, C, H, W).

        ``times``: (B, T_in+T_out) of past and future frames, on any device.
        """
        self.new_iteration()
        with self._fabric.autocast():
            return method.predict_at(past, None if times is None else self.to_device(times)).float()

    @torch.inference_mode()
    @subnormals_as_zero()
    def predict_members(self, method: Method, past: Tensor, times: Times | None = None) -> tuple[Tensor, Tensor | None]:
        """Prediction as :meth:`predict` gives it, and the members (M, B, T_out, C, H, W) that it is the mean of."""
        self.new_iteration()
        with self._fabric.autocast():
            members = method.members_at(past, None if times is None else self.to_device(times))
        if members is None:
            return self.predict(method, past, times), None
        return members.float().mean(0), members.float()

    def to_device(self, clip: Tensor) -> Tensor:
        """Copy a batch of clips or times to the device, without waiting if it is pinned."""
        return clip.to(self.device, non_blocking=True)

    def sum(self, value: Tensor) -> Tensor:
        """Return the sum over processes."""
        return cast("Tensor", self._fabric.all_reduce(value, reduce_op="sum"))

    def any(self, flag: bool) -> bool:
        """Return whether a flag is set in any process, so that all decide alike and none waits for another."""
        return flag if self.world_size == 1 else bool(self.sum(torch.tensor(float(flag), device=self.device)) > 0)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Run a block that all processes run; where one fails or is gone, the others end too, with its reason.

        Raises:
            MachineError, UserError: another process is gone, or ended for this reason.
        """
        if self._group is None:
            yield
            return
        with self._group.watched():
            yield

    def barrier(self) -> None:
        """Wait for all processes."""
        if self._group is not None:
            self._fabric.barrier()

    def all_meet(self, seconds: float = MEETING_SECONDS) -> bool:
        """Whether every process comes here too within some seconds, as they do where all failed in the same way."""
        if self._meeting is None:
            return True
        try:
            torch.distributed.monitored_barrier(self._meeting, timedelta(seconds=seconds))
        except RuntimeError:
            return False
        return True


class TrainingModule:
    """A method that is set up for training on an engine."""

    def __init__(self, engine: Engine, fabric: Fabric, module: Any, optimizer: Any, *, incomplete: bool) -> None:
        self._engine = engine
        self._fabric = fabric
        self._module = module
        self._optimizer = optimizer
        self._incomplete = incomplete

    @subnormals_as_zero()
    def step(self, clip: Tensor, progress: Progress, *, accumulate: int, clip_norm: float | None) -> dict[str, Tensor]:
        """Do one optimiser step on clips (B, T, C, H, W); return the detached loss terms, averaged over the batch."""
        terms: dict[str, Tensor] = {}
        known = None
        if self._incomplete:
            known = Known.of(clip, self._engine.sum)
            clip = fill_clip(clip, self._module.shape.t_in)
        first = 0
        parts = clip.chunk(accumulate)
        for number, part in enumerate(parts):
            share = part.shape[0] / clip.shape[0]
            last = number == len(parts) - 1
            with self._fabric.no_backward_sync(self._module, enabled=not last):
                self._engine.new_iteration()
                if known is not None:
                    progress = replace(progress, known=known.rows(first, first + len(part)))
                losses = self._losses(part, progress)
                self._fabric.backward(losses["loss"] * share)
            first += len(part)
            for name, value in losses.items():
                terms[name] = terms.get(name, torch.zeros_like(value)) + value.detach() * share
        if clip_norm is not None:
            self._fabric.clip_gradients(self._module, self._optimizer, max_norm=clip_norm, error_if_nonfinite=False)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return terms

    def _losses(self, clip: Tensor, progress: Progress) -> dict[str, Tensor]:
        t_in = self._module.shape.t_in
        losses: Callable[..., dict[str, Tensor]] = self._module.training_losses
        with self._fabric.autocast():  # Fabric does so only if it wraps the module for several processes
            return losses(clip[:, :t_in], clip[:, t_in:], progress)
