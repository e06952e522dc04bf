"""Methods that step through time: the rollout, and scheduled sampling around it. Axes: B, T, C, H, W."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from stbench.errors import UserError
from stbench.nn.method import Method, Progress
from stbench.nn.recompute import recompute
from stbench.nn.sampling import prediction_mask
from stbench.schema import ClipShape

_STEPS_NEAR_PEAK = 2


class RecurrentForecaster(Method):
    """Feeds a frame, gets a guess of the next one, T_in+T_out−1 times.

    The state lives in the rollout's local variable, never on the module. A subclass writes :meth:`initial_state`,
    :meth:`step` and :meth:`draw_feed`.
    """

    def __init__(self, shape: ClipShape, config: Any) -> None:
        super().__init__(shape, config)
        self._rollout_hooks: dict[int, Callable[[], None]] = OrderedDict()

    def register_rollout_hook(self, hook: Callable[[], None]) -> RemovableHandle:
        """Call ``hook()`` before each of the last steps of a training rollout and in their backward passes.

        The rollout holds most memory there. Hooks do not belong to the model: they see and change no tensor.

        Returns:
            A handle whose ``remove()`` takes the hook away.
        """
        handle = RemovableHandle(self._rollout_hooks)
        self._rollout_hooks[handle.id] = hook
        return handle

    def initial_state(self, frame: Tensor) -> Any:
        """State before the first step, on the device and with the batch size of ``frame`` (B, C, H, W)."""
        raise NotImplementedError

    def step(self, frame: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One time step: frame (B, C, H, W) and state -> guess of the next frame (B, C, H, W) and new state."""
        raise NotImplementedError

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile :meth:`step`: one graph serves every step of a rollout, however long."""
        self.step = torch.compile(self.step, *args, **kwargs)  # type: ignore[method-assign]

    def draw_feed(self, batch: int, progress: Progress) -> Tensor:
        """Which steps of a training rollout are fed the true frame: (B, T_in+T_out−1) bool."""
        raise NotImplementedError

    def rollout(self, clip: Tensor, feed_true: Tensor) -> Tensor:
        """Run the model over a clip.

        Args:
            clip: (B, T, C, H, W); needs a frame only at steps where some sample is fed the true one.
            feed_true: (B, T_in+T_out−1) bool; True feeds the true frame at that step, False the model's own last guess.

        Returns:
            All emissions in the clip's precision, (B, T_in+T_out−1, C, H, W); emission t is the guess of frame t+1.

        Raises:
            UserError: an argument is no tensor, or the mask has another shape, starts without a true frame, or asks
                for a frame that the clip lacks.
        """
        emissions, _ = self.unroll(clip, feed_true)
        return emissions

    def unroll(self, clip: Tensor, feed_true: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """As :meth:`rollout`, from ``state`` (default :meth:`initial_state`) and with the final state.

        A subclass whose state gathers loss terms along the way starts from one that does.
        """
        feed = self._checked_feed(clip, feed_true)
        state = self.initial_state(clip[:, 0]) if state is None else state
        step = partial(recompute, self.step, draws=True, least=0) if self.activation_checkpointing else self.step
        guess = clip[:, 0]
        emissions = []
        for t in range(feed.shape[1]):
            near_peak = torch.is_grad_enabled() and t >= feed.shape[1] - _STEPS_NEAR_PEAK
            if near_peak:
                self._call_rollout_hooks()
            guess, state = step(_fed_frame(clip, feed, t, guess), state)
            if near_peak and guess.requires_grad:
                guess.register_hook(lambda _: self._call_rollout_hooks())  # type: ignore[no-untyped-call]
            emissions.append(guess)
        return torch.stack(emissions, dim=1).to(clip.dtype), state

    def _call_rollout_hooks(self) -> None:
        for hook in self._rollout_hooks.values():
            hook()

    def forward(self, past: Tensor) -> Tensor:
        """(B, T_in, C, H, W) -> the last T_out emissions, (B, T_out, C, H, W)."""
        self.check_past(past)
        feed = prediction_mask(past.shape[0], self.shape.t_in, self.shape.t_out)
        return self.rollout(past, feed)[:, -self.shape.t_out :]

    def training_losses(self, past: Tensor, future: Tensor, progress: Progress) -> dict[str, Tensor]:
        """:meth:`rollout_losses` under the mask that :meth:`draw_feed` draws."""
        clip = torch.cat([past, future], dim=1)
        return self.rollout_losses(clip, self.draw_feed(clip.shape[0], progress))

    def rollout_losses(self, clip: Tensor, feed_true: Tensor) -> dict[str, Tensor]:
        """Mean squared error of every emission against the frame that followed; arguments as :meth:`rollout`'s."""
        mse = nn.functional.mse_loss(self.rollout(clip, feed_true), clip[:, 1:])
        return {"loss": mse, "mse": mse}

    def _checked_feed(self, clip: Tensor, feed_true: Tensor) -> Tensor:
        """The mask as bool on the CPU, where the loop can look at it without waiting for the device."""
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
            raise UserError("feed_true must be True at step 0: there is no earlier guess to feed.")
        needed = int(feed.any(dim=0).nonzero().max()) + 1
        if clip.shape[1] < needed:
            raise UserError(f"feed_true asks for true frame {needed - 1}, but the clip has {clip.shape[1]} frames.")
        return feed


def _fed_frame(clip: Tensor, feed: Tensor, t: int, guess: Tensor) -> Tensor:
    """The input of step t: true frame, own guess, or a per-sample mix of the two."""
    at_t = feed[:, t]
    if at_t.all():
        return clip[:, t]
    if not at_t.any():
        return guess
    return torch.where(at_t.to(guess.device)[:, None, None, None], clip[:, t], guess)
