"""``stbench describe``: the settings of a method with types, defaults and presets."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from stbench.cli.completion import complete


def describe_command(
    method: Annotated[str, typer.Argument(help="Method, e.g. tau or tau:no_sa.", autocompletion=complete("methods"))],
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show a method's settings: type, default, and what its presets and variants set."""
    from stbench.report.encode import terminal

    facts = describe_method(method)
    if json_:
        print(json.dumps(facts, indent=2))
        return
    from rich.console import Console

    from stbench.cli.plain import print_table
    from stbench.report.writers.terminal import plain_width

    console = plain_width(Console())
    lines = [f"{method}: {facts['summary']}", *([facts["paper"]] if facts["paper"] else [])]
    console.print(terminal("\n".join(lines)), highlight=False)
    settings = facts["settings"]
    rows = [(name, field["type"], json.dumps(field["default"]), field["limits"]) for name, field in settings.items()]
    print_table(console, ["setting", "type", "default", "limits"], rows)
    for kind in ("variants", "presets"):
        for name, values in facts[kind].items():
            console.print(terminal(f"{kind.removesuffix('s')} {name}: {json.dumps(values)}"), highlight=False)
    console.print(f"Change one with --set {terminal(method)}.KEY=VALUE, or in an experiment file.", highlight=False)


def describe_method(method: str) -> dict[str, Any]:
    """Return summary, paper, settings, variants and presets of a method, JSON-able.

    Raises:
        UserError: the method or one of its variants is unknown.
    """
    from stbench.nn import METHODS, split_name, variant_settings

    kind = METHODS.get(split_name(method)[0])
    changed = variant_settings(method)
    config = kind.Config.parse(changed, f"method {method!r}")
    values = config.model_dump(mode="json")
    properties = kind.Config.model_json_schema()["properties"]
    settings = {
        name: {
            "type": _type_text(field.annotation),
            "default": values[name],
            "limits": _limits(properties.get(field.alias or name, {})),
        }
        for name, field in kind.Config.model_fields.items()
    }
    presets = {
        f"{protocol}, {'all' if key == '*' else key}": _plain(values)
        for protocol, by_key in kind.presets.items()
        for key, values in by_key.items()
    }
    return {
        "method": method,
        "summary": kind.summary,
        "paper": "" if kind.paper is None else f"{kind.paper.title} ({kind.paper}), {kind.paper.url}",
        "settings": settings,
        "variants": {name: _plain(values) for name, values in kind.variants.items()},
        "presets": presets,
    }


def _type_text(annotation: Any) -> str:
    """The annotation as a reader writes it, without the names of modules."""
    text = (
        annotation.__name__ if isinstance(annotation, type) and not hasattr(annotation, "__args__") else str(annotation)
    )
    return text.replace("typing.", "").replace("NoneType", "None")


def _limits(schema: Any) -> str:
    """The bounds of a value, in words of its JSON schema."""
    words = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return ", ".join(f"{sign} {schema[key]}" for key, sign in words.items() if key in schema)


def _plain(values: Any) -> Any:
    return json.loads(json.dumps(values, default=str))
