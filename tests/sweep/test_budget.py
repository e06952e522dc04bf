"""Budgets: parsing, resolution, and equal cost of equal budgets."""

import pytest
from pydantic import ValidationError

from stbench.efficiency.macs import count_macs
from stbench.errors import UserError
from stbench.schema import Budget, Training
from stbench.settings import origin_of, parse_override
from stbench.sweep.plan import Plan, Request, make_plan
from stbench.train.schedules import Constant


def plan(*methods: str, **changes: object) -> Plan:
    settings = {"benchmark": "taxinyc", "protocol": "quick", **changes}
    return make_plan(Request(methods=methods, **settings))


def trainings(found: Plan) -> dict[str, Training]:
    return {spec.method: spec.training for spec in found.specs if spec.training is not None}


@pytest.mark.parametrize(
    ("text", "kind", "amount"),
    [
        ("10min", "time", 600.0),
        ("90 s", "time", 90.0),
        ("1.5h", "time", 5400.0),
        ("1e15MACs", "macs", 1e15),
        ("2.5E9 macs", "macs", 2.5e9),
        ("20epochs", "epochs", 20.0),
        ("1 epoch", "epochs", 1.0),
    ],
)
def test_text(text: str, kind: str, amount: float) -> None:
    budget = Budget.model_validate(text)
    assert (budget.kind, budget.amount) == (kind, amount)
    assert Budget.model_validate_json(budget.model_dump_json()) == budget


@pytest.mark.parametrize("text", ["10", "min", "10 minites", "-3min", "0min", "1.5epochs", "1e15", ""])
def test_refused_text(text: str) -> None:
    with pytest.raises(ValidationError):
        Budget.model_validate(text)


def test_the_plan_names_flag_value_and_fix() -> None:
    with pytest.raises(UserError, match=r"budget = '10 minites': expected a number with a unit, e\.g\. 10min"):
        plan("tau", training={"budget": "10 minites"})
    with pytest.raises(UserError, match="--budget and --epochs both say how long"):
        plan("tau", training={"budget": "10min", "epochs": 3})


def test_epochs_are_the_same_run_as_the_epochs_flag() -> None:
    by_budget, by_flag = plan("tau", training={"budget": "7epochs"}), plan("tau", training={"epochs": 7})
    assert [s.run_id for s in by_budget.specs] == [s.run_id for s in by_flag.specs]


def test_multiply_adds_become_steps_that_cost_the_same_for_every_method() -> None:
    budget = 3e12
    found = plan("tau", "convlstm", "phydnet", training={"budget": f"{budget:g}MACs"})
    trained = [spec for spec in found.specs if spec.training is not None]
    assert len(trained) == 3
    for spec in trained:
        assert spec.training.steps is not None
        assert origin_of(spec.origins, "training.budget") == "--budget"
        step = 3 * count_macs(spec).total * spec.training.batch_size
        assert budget - step < spec.training.steps * step <= budget


def test_a_budget_below_one_step_is_refused() -> None:
    with pytest.raises(UserError, match=r"does not pay for one step of 'tau', which takes .*e\+\d+ MACs"):
        plan("tau", training={"budget": "1e3MACs"})


def test_time_stays_a_budget_and_may_differ_by_method() -> None:
    found = trainings(plan("tau", "convlstm", overrides=[parse_override("tau.budget=10min")]))
    assert found["tau"].time_limit == 600.0
    assert found["convlstm"].time_limit is None


def test_extent_in_words() -> None:
    found = trainings(plan("tau", training={"budget": "10min"}))
    assert found["tau"].extent == "600 s"
    assert trainings(plan("tau", training={"epochs": 3}))["tau"].extent == "3 epochs"
    assert trainings(plan("tau", overrides=[parse_override("steps=12")]))["tau"].extent == "12 steps"


def test_a_training_without_budget_is_written_as_before_there_were_any() -> None:
    """A run's name is a hash of this text; a field that nobody set must not rename old runs."""
    training = Training(epochs=1, batch_size=2, lr=0.1, schedule=Constant())
    assert {"steps", "budget"}.isdisjoint(training.model_dump())
    with_steps = training.model_copy(update={"steps": 3})
    assert with_steps.model_dump()["steps"] == 3
    assert Training.model_validate(with_steps.model_dump(mode="json")) == with_steps
