"""Turn a budget into a length of training that is known before it starts."""

from __future__ import annotations

from collections.abc import Callable

from stbench.efficiency.macs import training_step_macs
from stbench.errors import UserError
from stbench.nn import Method
from stbench.schema import Training


def resolve_budget(training: Training, make: Callable[[], Method], name: str) -> Training:
    """Training whose budget of epochs became ``epochs``, or whose budget of multiply-adds became ``steps``.

    A step costs three times the multiply-adds of predicting its clips. A budget of time stays as it is.

    Raises:
        UserError: the budget does not pay for one step.
    """
    budget = training.budget
    if budget is None or budget.kind == "time":
        return training
    if budget.kind == "epochs":
        return training.model_copy(update={"epochs": int(budget.amount), "budget": None})
    step = training_step_macs(make, training.batch_size)
    if budget.amount < step:
        raise UserError(
            f"The budget of {budget} does not pay for one step of {name!r}, which takes {step:.3g} MACs "
            f"at batch size {training.batch_size}. Raise it."
        )
    return training.model_copy(update={"steps": int(budget.amount // step)})
