"""Resolution of budgets into lengths of training."""

from __future__ import annotations

from collections.abc import Callable

from stbench.efficiency.macs import training_step_macs
from stbench.errors import UserError
from stbench.nn import Method
from stbench.schema import Budget, Training
from stbench.schema.protocol import MOST_EPOCHS, MOST_STEPS


def resolve_budget(training: Training, make: Callable[[], Method], name: str) -> Training:
    """Resolve a budget of epochs into ``epochs``, and one of multiply-adds into ``steps``.

    A step costs three times the multiply-adds of predicting its clips. A budget of time is not changed.

    Raises:
        UserError: the budget does not pay for one step, or for absurdly many.
    """
    budget = training.budget
    if budget is None or budget.kind == "time":
        return training
    if budget.kind == "epochs":
        _check_length(budget, int(budget.amount), MOST_EPOCHS, "epochs")
        return training.model_copy(update={"epochs": int(budget.amount), "budget": None})
    step = training_step_macs(make, training.batch_size)
    if budget.amount < step:
        raise UserError(
            f"The budget of {budget} does not pay for one step of {name!r}, which takes {step:.3g} MACs "
            f"at batch size {training.batch_size}. Raise it."
        )
    _check_length(budget, int(budget.amount // step), MOST_STEPS, f"steps of {name!r}")
    return training.model_copy(update={"steps": int(budget.amount // step)})


def _check_length(budget: Budget, length: int, most: int, what: str) -> None:
    if length > most:
        raise UserError(f"The budget of {budget} pays for {length:.3g} {what}; at most {most:.3g} are done. Lower it.")
