"""Recurrent methods: the rollout and its training losses. Axes: B, T, C, H, W."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from stbench.errors import UserError
from stbench.nn.method import Method, Progress
from stbench.nn.missing import Known, mean_squared_error
from stbench.nn.recompute import recompute
from stbench.schema import ClipShape

_STEPS_NEAR_PEAK = 2


class RecurrentForecaster(Method):
    """Base of methods that step through time: T_in+T_out−1 steps, each from one frame to a prediction of the next.

    The state is a local variable of the rollout, never on the module. A subclass implements :meth:`initial_state`,
    :meth:`step` and :meth:`draw_feed`.
    """

    pads_frames = True
    leaves_out_missing = True

    def __init__(self, shape: ClipShape, config: Any) -> None:
        super().__init__(shape, config)
        self._rollout_hooks: dict[int, Callable[[], None]] = OrderedDict()

    def register_rollout_hook(self, hook: Callable[[], None]) -> RemovableHandle:
        """Call ``hook()`` before each of the last steps of a training rollout and in their backward passes.

        Memory peaks at these steps. Hooks are not part of the model: they neither see nor change tensors.

        Returns:
            A handle whose ``remove()`` takes the hook away.
        """
        handle = RemovableHandle(self._rollout_hooks)
        self._rollout_hooks[handle.id] = hook
        return handle

    def initial_state(self, frame: Tensor) -> Any:
        """Return the state before the first step, with the batch size and device of ``frame`` (B, C, H, W)."""
        raise NotImplementedError

    def step(self, frame: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Predict the frame (B, C, H, W) after ``frame`` (B, C, H, W); return it and the new state."""
        raise NotImplementedError

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile :meth:`step`, whose graph serves rollouts of any length."""
        self.step = torch.compile(self.step, *args, **kwargs)  # type: ignore[method-assign]

    def draw_feed(self, batch: int, progress: Progress) -> Tensor:
        """Draw which steps of a training rollout are fed the true frame: (B, T_in+T_out−1) bool."""
        raise NotImplementedError

    def rollout(self, clip: Tensor, feed_true: Tensor) -> Tensor:
        """Run the model over a clip.

        Args:
            clip: (B, T, C, H, W); must contain the frames that ``feed_true`` selects.
            feed_true: (B, T_in+T_out−1) bool; True feeds the true frame at that step, False the previous emission.

        Returns:
            All emissions (B, T_in+T_out−1, C, H, W) in the clip's dtype; emission t is the prediction of frame t+1.

        Raises:
            UserError: an argument is not a tensor, or the mask has a wrong shape, starts without a true frame, or
                selects a frame that the clip lacks.
        """
        emissions, _ = self.unroll(clip, feed_true)
        return emissions

    def unroll(self, clip: Tensor, feed_true: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Run :meth:`rollout` from ``state`` (default :meth:`initial_state`) and also return the final state.

        A subclass that collects loss terms in its state passes an initial state that does so.
        """
        return self._roll(clip, _choices(self._checked_feed(clip, feed_true)), state)

    def _roll(self, clip: Tensor, choices: Sequence[bool | Tensor], state: Any = None) -> tuple[Tensor, Any]:
        """Run :meth:`unroll` with what each step is fed: the true frame, the last emission, or a mix by sample (B,).

        Choices that are no tensors leave nothing to decide in a program that torch records.
        """
        state = self.initial_state(self.pad(clip[:, 0])) if state is None else state
        # least=0: memory of a rollout grows with its number of steps, so even small tensors are recomputed
        step = partial(recompute, self.step, draws=True, least=0) if self.activation_checkpointing else self.step
        emission = clip[:, 0]
        emissions = []
        for t, choice in enumerate(choices):
            near_peak = torch.is_grad_enabled() and t >= len(choices) - _STEPS_NEAR_PEAK
            if near_peak:
                self._call_rollout_hooks()
            emission, state = step(self.pad(_fed_frame(clip, t, choice, emission)), state)
            emission = self.crop(emission)
            if near_peak and emission.requires_grad:
                emission.register_hook(lambda _: self._call_rollout_hooks())  # type: ignore[no-untyped-call]
            emissions.append(emission)
        return torch.stack(emissions, dim=1).to(clip.dtype), state

    def _call_rollout_hooks(self) -> None:
        for hook in self._rollout_hooks.values():
            hook()

    def forward(self, past: Tensor) -> Tensor:
        """Return the last T_out emissions: (B, T_in, C, H, W) -> (B, T_out, C, H, W)."""
        self.check_past(past)
        choices = [t < self.shape.t_in for t in range(self.shape.length - 1)]
        emissions, _ = self._roll(past, choices)
        return emissions[:, -self.shape.t_out :]

    def training_losses(self, past: Tensor, future: Tensor, progress: Progress) -> dict[str, Tensor]:
        """Return :meth:`rollout_losses` with the mask from :meth:`draw_feed`."""
        clip = torch.cat([past, future], dim=1)
        feed, known = self.draw_feed(clip.shape[0], progress), progress.known_from(1)
        return self.rollout_losses(clip, feed) if known is None else self.rollout_losses(clip, feed, known)

    def rollout_losses(self, clip: Tensor, feed_true: Tensor, known: Known | None = None) -> dict[str, Tensor]:
        """Return the MSE of all emissions against the frames that they predict; arguments as in :meth:`rollout`.

        ``known``: cells of the frames after the first that have a value; None where all have one.
        """
        mse = mean_squared_error(self.rollout(clip, feed_true), clip[:, 1:], known)
        return {"loss": mse, "mse": mse}

    def _checked_feed(self, clip: Tensor, feed_true: Tensor) -> Tensor:
        """Check the arguments; return the mask on the CPU, where reading it does not wait for the device."""
        for name, given in (("clip", clip), ("feed_true", feed_true)):
            if not isinstance(given, Tensor):
                raise UserError(f"{name} must be a torch tensor, got a {type(cast('Any', given)).__name__}.")
        steps = self.shape.length - 1
        if tuple(feed_true.shape) != (clip.shape[0], steps):
            raise UserError(
                f"feed_true is {tuple(feed_true.shape)}; expected (batch, T_in+T_out-1) = {(clip.shape[0], steps)}."
            )
        feed = feed_true.bool().cpu()
        if not feed[:, 0].all():
            raise UserError("feed_true must be True at step 0: there is no previous emission to feed.")
        needed = int(feed.any(dim=0).nonzero().max()) + 1
        if clip.shape[1] < needed:
            raise UserError(f"feed_true selects true frame {needed - 1}, but the clip has {clip.shape[1]} frames.")
        return feed


def _choices(feed: Tensor) -> list[bool | Tensor]:
    """Return what each step is fed, from a mask (B, steps) on the CPU."""
    return [True if at_t.all() else at_t if at_t.any() else False for at_t in feed.T]


def _fed_frame(clip: Tensor, t: int, choice: bool | Tensor, emission: Tensor) -> Tensor:
    """Return the input of step t: the true frame, the previous emission, or a mix by sample."""
    if isinstance(choice, Tensor):
        return torch.where(choice.to(emission.device)[:, None, None, None], clip[:, t], emission)
    return clip[:, t] if choice else emission
