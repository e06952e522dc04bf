"""Checks of ``forward``. Axes: B, T, C, H, W."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from stbench.conformance.outcome import NotApplicableError, ViolationError, check
from stbench.conformance.subject import Subject, gap, hourly, predict, progress, waves
from stbench.nn import Method
from stbench.schema import ClipShape
from stbench.train.checkpoint import load_weights, save_weights

ROUNDING = 1e-4
"""Largest change from a different order of summation, relative to the scale of the prediction."""


@check(crash_cause="forward does not take (B, T_in, C, H, W), or the settings do not fit this shape")
def shapes(subject: Subject) -> None:
    """A prediction is finite float32 (B, T_out, C, H, W), for batches of 1 and 3."""
    method = subject.build()
    for batch in (1, 3):
        _check_prediction(predict(method, subject.clip(batch)[0]), subject.shape, batch)


@check(crash_cause="forward assumes one T_out; if it does not support other lengths, declare that in skip()")
def lengths(subject: Subject) -> None:
    """T_out may be longer or shorter than T_in, unless skip() gives a reason."""
    reasons = []
    others = [shape for shape in subject.shapes[1:] if shape.t_out != shape.t_in]
    for shape in others:
        reason = subject.skip(shape)
        if reason is not None:
            reasons.append(f"{shape.t_in}->{shape.t_out} skipped: {reason}")
            continue
        method = subject.build(shape=shape)
        clip = waves(shape, 2, seed=1)
        past, future = clip[:, : shape.t_in], clip[:, shape.t_in :]
        _check_prediction(predict(method, past), shape, 2)
        if method.trainable:
            method.train().training_losses(past, future, progress(late=True))["loss"].backward()  # type: ignore[no-untyped-call]
    if len(reasons) == len(others):
        raise NotApplicableError("; ".join(reasons) or "no other lengths given")


@check(crash_cause="an in-place operation on an input")
def inputs_untouched(subject: Subject) -> None:
    """A method does not change the past and the future that it gets."""
    method = subject.build()
    past, future = subject.clip(2)
    past_before, future_before = past.clone(), future.clone()
    predict(method, past)
    method.train().training_losses(past, future, progress(late=False))
    for name, before, after in (("past", past_before, past), ("future", future_before, future)):
        if not torch.equal(before, after):
            raise ViolationError(
                f"the {name} as it was",
                f"values changed by up to {gap(before, after):.3g}",
                f"an in-place operation (add_, [...] =) on the {name}; work on a clone",
            )


@check(crash_cause="forward works for one batch size only")
def batch_independence(subject: Subject) -> None:
    """In evaluation mode, a sample's prediction does not depend on the other samples of its batch."""
    method = subject.build()
    brightness = torch.tensor([0.2, 1.0, 0.6])[:, None, None, None, None]
    past = subject.clip(3)[0] * brightness
    together = predict(method, past)
    alone = torch.cat([predict(method, sample[None]) for sample in past])
    seen = gap(together, alone)
    if seen > ROUNDING * _scale(together):
        raise ViolationError(
            "the same prediction alone and in a batch of 3",
            f"they differ by up to {seen:.3g} (predictions reach {_scale(together):.3g})",
            "statistics over the batch in eval mode (BatchNorm with track_running_stats=False, a mean over dim 0), "
            "or a reshape that mixes batch and time",
        )


@check(crash_cause="predict_at needs times, which are None where the data have no dates")
def dates(subject: Subject) -> None:
    """With and without dates, a prediction has the right shape; each sample is predicted by its own dates."""
    if subject.method_class.predict_at is Method.predict_at:
        raise NotApplicableError("predictions do not depend on dates")
    method = subject.build().eval()
    past, times = subject.clip(3)[0], hourly(subject.shape, 3, first_day=7)
    with torch.no_grad():
        _check_prediction(method.predict_at(past, None), subject.shape, 3)
        together = method.predict_at(past, times)
        _check_prediction(together, subject.shape, 3)
        alone = torch.cat([method.predict_at(past[[n]], times[[n]]) for n in range(3)])
    seen = gap(together, alone)
    if seen > ROUNDING * _scale(together):
        raise ViolationError(
            "the same dated prediction alone and in a batch of 3",
            f"they differ by up to {seen:.3g}",
            "one sample's dates used for all; times is (B, T_in+T_out), a row per sample",
        )


@check(crash_cause="a parameter, buffer or tied weight that cannot be saved or loaded")
def state_dict_round_trip(subject: Subject) -> None:
    """Weights saved by one instance and loaded into another give the same prediction."""
    first, other = subject.build(seed=0), subject.build(seed=1, fit=False)
    past, future = subject.clip(2)
    if first.trainable:
        first.train().training_losses(past, future, progress(late=False))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        save_weights(path, first)
        load_weights(path, other)
    seen = gap(predict(first, past), predict(other, past))
    if seen > 0:
        raise ViolationError(
            "the same prediction after save and load",
            f"they differ by up to {seen:.3g}",
            "something that forward uses is neither a parameter nor a persistent buffer "
            "(a plain tensor or number set during training or at random in __init__)",
        )


@check(crash_cause="forward needs something that only training_losses sets")
def target_not_seen(subject: Subject) -> None:
    """The future passed to training_losses does not change later predictions."""
    past, future = subject.clip(2, seed=7)
    fresh = subject.build()
    weights = {key: value.clone() for key, value in fresh.state_dict().items()}
    expected = predict(fresh, past)
    for shown, training in ((future, False), (1.0 - future, False), (future, True), (1.0 - future, True)):
        method = subject.build()
        method.load_state_dict(weights)
        method.train(training).training_losses(past, shown, progress(late=False))
        if training:
            method.load_state_dict(weights)  # a training pass may update running statistics
        seen = gap(predict(method, past), expected)
        if seen > ROUNDING * _scale(expected):
            raise ViolationError(
                "the prediction of an instance that never saw the future",
                f"the prediction moves by up to {seen:.3g} once training_losses has been shown the future",
                "training_losses leaves the future in a global, a class attribute or on the module, "
                "and forward reads it",
            )


@check(crash_cause="a tensor kept from the batch before (its batch size differs)")
def no_carried_state(subject: Subject) -> None:
    """The result for a batch does not depend on earlier batches."""
    method = subject.build()
    past, other = subject.clip(2)[0], subject.clip(3, seed=2)[0]
    first = predict(method, past)
    predict(method, other)
    _check_unchanged(first, predict(method, past), "prediction of the same past, another batch in between")
    if method.trainable:
        before, after = _losses_before_and_after(subject)
        _check_unchanged(before, after, "training losses of the same batch, another one in between")


def _losses_before_and_after(subject: Subject) -> Iterator[Tensor]:
    """Yield the loss of a batch on a fresh instance, then on one with equal weights that saw another batch before."""
    weights = {key: value.clone() for key, value in subject.build().state_dict().items()}
    for seen_before in (False, True):
        method = subject.build().train()
        method.load_state_dict(weights)
        if seen_before:
            method.training_losses(*subject.clip(3, seed=2), progress(late=True))
            method.load_state_dict(weights)
        yield method.training_losses(*subject.clip(2), progress(late=True))["loss"].detach()


def _check_unchanged(before: Tensor, after: Tensor, what: str) -> None:
    seen = gap(before, after)
    if seen > ROUNDING * _scale(before):
        raise ViolationError(
            f"the same {what}",
            f"it changes by up to {seen:.3g}",
            "rollout state kept on the module (self.h = …): make it a local variable of the rollout; "
            "or randomness in eval mode (dropout that ignores self.training)",
        )


def _check_prediction(prediction: Tensor, shape: ClipShape, batch: int) -> None:
    expected = f"float32 {shape.future(batch)}"
    if tuple(prediction.shape) != shape.future(batch):
        raise ViolationError(
            expected,
            f"{tuple(prediction.shape)}",
            "forward returns all emissions or T_in frames instead of shape.t_out, or another order of axes",
        )
    if prediction.dtype != torch.float32:
        raise ViolationError(
            expected, f"{prediction.dtype}", "a float64 or half constant; create it with dtype=x.dtype"
        )
    if not prediction.isfinite().all():
        raise ViolationError(
            "finite values",
            f"{int((~prediction.isfinite()).sum())} of {prediction.numel()} are NaN or infinite",
            "a division by zero, log or sqrt of 0; or fit() is needed and was not written",
        )


def _scale(x: Tensor) -> float:
    return max(float(x.nan_to_num().abs().max()), 1e-6) if x.numel() else 1.0
