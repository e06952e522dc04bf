"""Checks of how a method runs: under autocast, and in a data-parallel group. Axes: B, T, C, H, W."""

from __future__ import annotations

import torch
from torch import Tensor

from stbench.conformance.group import GROUP, Job, gradients_in_group
from stbench.conformance.outcome import ViolationError, check
from stbench.conformance.subject import Subject, predict, progress
from stbench.schema import Parameters
from stbench.train.engine import Engine
from stbench.train.optimizers import Adam

BF16_SHARE = 0.1
"""Largest relative change of a prediction (in norm) under bfloat16, which has 8 bits of mantissa."""
GRADIENT_SHARE = 1e-4
MEAN_SHARE = 1e-2


@check(crash_cause="two dtypes meet (an index assignment, torch.cat or lerp of a bfloat16 and a float32 tensor)")
def autocast(subject: Subject) -> None:
    """Under bfloat16 autocast, predictions stay close to float32 ones and a training step works."""
    engine = Engine("cpu", "bf16")
    method = subject.build().eval()
    past, future = subject.clip(2)
    exact = predict(method, past)
    rounded = engine.predict(method, past)
    seen = float((rounded - exact).norm() / exact.norm().clamp(min=1e-6))
    if not seen <= BF16_SHARE:
        raise ViolationError(
            f"a prediction within {BF16_SHARE:.0%} of the float32 one",
            f"it is {seen:.0%} away" if seen == seen else "it is not a number",
            "small constants that bfloat16 rounds to 0 or to infinity; compute that part under "
            "torch.autocast(device_type, enabled=False)",
        )
    if method.trainable:
        module = engine.wrap(method.train(), Adam().build(Parameters(method), 1e-3))
        clip = torch.cat([past, future], dim=1)
        loss = module.step(clip, progress(late=False), accumulate=1, clip_norm=None)["loss"]
        if not loss.isfinite():
            raise ViolationError("a finite loss", f"{float(loss)}", "an overflow or a log of a rounded 0 in bfloat16")


@check(crash_cause="a process of the group fails", needs_training=True)
def data_parallel(subject: Subject) -> None:
    """Two processes with half a batch each get the gradients that one process gets from the whole batch."""
    _check_mean(subject)
    expected = _of_one_process(subject)
    seen = gradients_in_group(Job.of(subject))
    largest = max(float(gradient.norm()) for gradient in expected.values())
    wrong = []
    for name, gradient in expected.items():
        difference = float((seen.get(name, torch.zeros(())) - gradient).norm())
        if not difference <= GRADIENT_SHARE * max(float(gradient.norm()), 0.1 * largest):
            wrong.append(name)
    if wrong:
        raise ViolationError(
            "the gradients of one process",
            f"{len(wrong)} of {len(expected)} gradients differ, first {wrong[0]}",
            "tensors that hang off the module without being parameters or buffers, weights that do not follow "
            "from the seed, or numbers drawn per sample without progress.rand(batch, ...)",
        )


def _check_mean(subject: Subject) -> None:
    """Check that the loss is a mean over the batch, as averaging over processes or accumulated parts requires."""

    def loss(times: int) -> float:
        method = (
            subject.build().eval()
        )  # no random draws, no batch statistics: repeating a batch must not change a mean
        past, future = (part.repeat(times, 1, 1, 1, 1) for part in subject.clip(2))
        return float(method.training_losses(past, future, progress(late=True))["loss"].detach())

    once, twice = loss(1), loss(2)
    if abs(twice - once) > MEAN_SHARE * max(abs(once), 1e-6):
        raise ViolationError(
            f"the loss {once:.6g} for the same batch given twice",
            f"{twice:.6g}",
            "a loss that is a sum over the batch; take the mean, or processes and accumulation change it",
        )


def _of_one_process(subject: Subject) -> dict[str, Tensor]:
    """Gradients of the whole batch in one process."""
    method = subject.build().train()
    method.training_losses(*subject.clip(2 * GROUP), progress(late=True))["loss"].backward()  # type: ignore[no-untyped-call]
    return {name: p.grad for name, p in method.named_parameters() if p.grad is not None}
