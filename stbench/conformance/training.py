"""Checks of ``training_losses``. Axes: B, T, C, H, W."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from stbench.conformance.outcome import NotApplicableError, ViolationError, check
from stbench.conformance.subject import Subject, gap, predict, progress
from stbench.nn import Known, Method
from stbench.nn.missing import why_not_missing
from stbench.schema import Parameters
from stbench.train.engine import Engine
from stbench.train.optimizers import Adam

LEARNING_RATE = 5e-3
OVERFIT_STEPS = 300
LOOK_EVERY = 10
OVERFIT_SHARE = 0.5
DRAWS = 4
SHOWN = 8


@check(crash_cause="training_losses(past, future, progress) fails on a plain batch", needs_training=True)
def losses(subject: Subject) -> None:
    """training_losses returns named finite scalars early and late in training; the engine trains on "loss"."""
    for late in (False, True):
        method = subject.build().train()
        past, future = subject.clip(2)
        terms: Any = method.training_losses(past, future, progress(late=late))
        _check_terms(terms)
        engine = Engine("cpu")
        module = engine.wrap(method, Adam().build(Parameters(method), LEARNING_RATE))
        clip = torch.cat([past, future], dim=1)
        reported = module.step(clip, progress(late=late), accumulate=1, clip_norm=None)["loss"]
        if gap(reported, terms["loss"].detach()) > 1e-5 * max(1.0, abs(float(reported))):
            raise ViolationError(
                f"the loss {float(terms['loss'].detach()):.6g} under the engine too",
                f"the engine reports {float(reported):.6g}",
                "training_losses gives another value the second time: state on the module, or randomness that "
                "comes neither from progress.generator nor from torch's own generator",
            )


def _check_terms(terms: Any) -> None:
    expected = 'a dict of scalar tensors with the total under "loss"'
    if not isinstance(terms, dict) or "loss" not in terms:
        seen = f"keys {sorted(terms)}" if isinstance(terms, dict) else f"a {type(terms).__name__}"
        raise ViolationError(expected, seen, 'training_losses must return {"loss": total, "mse": …}')
    for name, value in terms.items():
        if not isinstance(value, Tensor) or value.ndim != 0:
            seen = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
            raise ViolationError(expected, f"{name!r} is {seen}", "a loss that was not reduced; take its mean")
        if not value.isfinite():
            raise ViolationError(
                "finite losses",
                f"{name!r} = {float(value.detach())}",
                "a division by zero, log or sqrt of 0; add an epsilon inside",
            )
    if not terms["loss"].requires_grad:
        raise ViolationError(
            "a total that gradients flow from",
            '"loss" is detached from the parameters',
            "detach(), no_grad() or item() on the way to the total",
        )


@check(crash_cause="the loss cannot be differentiated", needs_training=True)
def gradients(subject: Subject) -> None:
    """Every parameter gets a finite, non-zero gradient in one of a few draws."""
    dead = {name for name, p in subject.build().named_parameters() if p.requires_grad}
    for draw in range(DRAWS):
        method = subject.build().train()
        _backward(method, subject, draw)
        for name, parameter in method.named_parameters():
            if parameter.grad is None:
                continue
            if not parameter.grad.isfinite().all():
                raise ViolationError(
                    "finite gradients", f"{name} gets NaN or infinity", "sqrt or norm at 0, or an overflow"
                )
            if parameter.grad.any():
                dead.discard(name)
    if dead:
        names = sorted(dead)
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        raise ViolationError(
            "a gradient for every parameter",
            f"none for {', '.join(names[:SHOWN])}{more}",
            "dead parameters: layers that forward never uses (they count in no table and stop data-parallel training); "
            "delete them, or freeze them with requires_grad_(False)",
        )


def _backward(method: Method, subject: Subject, draw: int) -> None:
    moment = progress(late=draw % 2 == 1, seed=draw)
    loss = method.training_losses(*subject.clip(2, seed=draw), moment)["loss"]
    if loss.requires_grad:
        loss.backward()  # type: ignore[no-untyped-call]


@check(crash_cause="training with the same seed twice fails", needs_training=False)
def seed_determinism(subject: Subject) -> None:
    """Two training steps with the same seed give bit-identical weights and the same prediction."""
    first, second = (_trained(subject) for _ in range(2))
    state, other = first.state_dict(), second.state_dict()
    moved = [key for key in state if not torch.equal(state[key].nan_to_num(), other[key].nan_to_num())]
    past = subject.clip(2)[0]
    seen = gap(predict(first, past), predict(second, past))
    if moved or seen > 0:
        raise ViolationError(
            "identical runs from identical seeds",
            f"{len(moved)} of {len(state)} tensors differ, first {moved[0]}"
            if moved
            else f"predictions differ by {seen:.3g}",
            "random numbers from numpy, random or the clock; draw from progress.generator in training_losses, and from "
            "torch's generator elsewhere",
        )


def _trained(subject: Subject) -> Method:
    method = subject.build(seed=3).train()
    if not method.trainable:
        return method
    optimizer = torch.optim.Adam(method.parameters(), lr=LEARNING_RATE)
    for step in range(2):
        optimizer.zero_grad()
        loss = method.training_losses(*subject.clip(2), progress(late=False, seed=step))["loss"]
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return method


@check(crash_cause="training_losses fails on some values of the future", needs_training=True)
def loss_depends_on_target(subject: Subject) -> None:
    """Changing any frame of the future changes the loss, also if the method is fed its own emissions."""
    method = subject.build().train()
    past, future = subject.clip(2)

    def loss(target: Tensor) -> float:
        return float(method.training_losses(past, target, progress(late=True))["loss"].detach())

    whole = loss(future)
    ignored = []
    for t in range(subject.shape.t_out):
        changed = future.clone()
        changed[:, t] = 1.0 - changed[:, t]
        if loss(changed) == whole:
            ignored.append(t)
    if ignored:
        raise ViolationError(
            f"a loss that every one of the {subject.shape.t_out} future frames enters",
            f"frames {ignored} of the future do not change it",
            "the loss compares the prediction with the past or with itself, or slices the future one off",
        )


@check(crash_cause="training_losses fails where progress.known is given", needs_training=True)
def missing_cells(subject: Subject) -> None:
    """The loss is finite and does not depend on the values at missing cells of the last frame."""
    reason = why_not_missing(subject.method_class)
    if reason is not None:
        raise NotApplicableError(reason)
    method = subject.build().train()
    past, future = subject.clip(2)
    clip = torch.cat([past, future], dim=1)
    clip[:, -1, :, :3] = torch.nan
    known = Known.of(clip, lambda counts: counts)
    losses = []
    for value in (0.0, 10.0):
        target = future.clone()
        target[:, -1, :, :3] = value
        torch.manual_seed(0)
        moment = replace(progress(late=True), known=known)
        losses.append(float(method.training_losses(past, target, moment)["loss"].detach()))
    if not math.isfinite(losses[0]) or abs(losses[0] - losses[1]) > 1e-5 * max(1.0, abs(losses[0])):
        raise ViolationError(
            "the same finite loss whatever stands in missing cells",
            f"{losses[0]:.6g} and {losses[1]:.6g}",
            "leaves_out_missing is declared, but a loss term does not use progress.known "
            "(stbench.nn.mean_squared_error does)",
        )


@check(crash_cause="training steps fail", needs_training=True)
def overfits_one_batch(subject: Subject) -> None:
    """After training on one batch, the MSE of its prediction is below half of the future's variance."""
    method = subject.build(seed=5)
    past, future = subject.clip(2)
    goal = OVERFIT_SHARE * float(future.var())
    optimizer = torch.optim.Adam(method.parameters(), lr=LEARNING_RATE)
    error = float("nan")
    for step in range(OVERFIT_STEPS):
        if step % LOOK_EVERY == 0:
            error = float((predict(method, past) - future).square().mean())
            if error < goal:
                return
            method.train()
        optimizer.zero_grad()
        loss = method.training_losses(past, future, progress(late=True, seed=step))["loss"]
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    raise ViolationError(
        f"an MSE below {goal:.3g} within {OVERFIT_STEPS} steps of Adam at {LEARNING_RATE}",
        f"MSE {error:.3g} on the batch it was trained on",
        "gradients do not reach the layers that matter, the loss does not measure the prediction, or training and "
        "evaluation mode compute different things",
    )
