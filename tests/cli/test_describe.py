"""``stbench describe`` and the JSON of lists, over every method; completion of names."""

import json

import pytest
from typer.testing import CliRunner

from stbench.cli.app import app
from stbench.cli.describe_method import describe_method
from stbench.errors import UserError
from stbench.nn import METHODS


@pytest.mark.parametrize("name", METHODS.names())
def test_every_method_is_described(name: str) -> None:
    facts = describe_method(name)
    method = METHODS.get(name)
    assert facts["settings"].keys() == method.Config.model_fields.keys()
    defaults = method.Config().model_dump(mode="json")
    assert {key: field["default"] for key, field in facts["settings"].items()} == defaults
    assert facts["variants"].keys() == method.variants.keys()
    assert json.loads(json.dumps(facts)) == facts


def test_a_variant_shows_what_it_sets() -> None:
    variant, values = next(iter(METHODS.get("tau").variants.items()))
    shown = describe_method(f"tau:{variant}")["settings"]
    assert {key: shown[key]["default"] for key in values} == dict(values)
    with pytest.raises(UserError):
        describe_method("tua")


def test_the_commands_print(capsys: pytest.CaptureFixture[str]) -> None:
    text = CliRunner().invoke(app, ["describe", "tau"]).output
    assert "hid_t" in text
    assert "preset" in text
    rows = json.loads(CliRunner().invoke(app, ["list", "methods", "--json"]).output)
    assert {row["method"] for row in rows} == set(METHODS.names())
