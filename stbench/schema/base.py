"""Base of all records: frozen, rejects unknown keys, and names the key and a near miss in errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from stbench.errors import UserError, did_you_mean
from stbench.settings import origin_of


class Record(BaseModel):
    """A frozen pydantic model that rejects unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, ser_json_inf_nan="constants")

    @classmethod
    def parse(cls, values: Any, where: str, origins: Mapping[str, str] | None = None) -> Self:
        """Validate ``values``.

        Args:
            values: a mapping of the record's fields.
            where: source of the values (a file, a flag), for messages.
            origins: dotted key -> origin of its value, for messages.

        Raises:
            UserError: a value is invalid; one line per problem, with key, value, origin and fix.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise UserError(explain(error, cls, where, origins, values)) from None


def explain(
    error: ValidationError,
    model: type[BaseModel],
    where: str,
    origins: Mapping[str, str] | None = None,
    values: Any = None,
) -> str:
    """Format a pydantic error on ``values``: one line per problem, with the known keys for an unknown one."""
    lines = []
    for problem in error.errors(include_url=False):
        parts, known = _locate(model, problem["loc"], values)
        path = ".".join(parts) or "value"
        origin = origin_of(origins or {}, path)
        source = f" ({origin})" if origin else ""
        if problem["type"] == "extra_forbidden":
            near = did_you_mean(parts[-1], known)
            listing = f" Known keys: {', '.join(known)}." if known else ""
            lines.append(f"{where}: unknown key {path!r}{source}.{near}{listing}")
        elif problem["type"] == "missing":
            lines.append(f"{where}: {path!r} is missing.")
        else:
            reason = problem["msg"].removeprefix("Value error, ")
            seen = f"{path} = {problem['input']!r}: " if problem["loc"] else ""
            lines.append(f"{where}: {seen}{reason.removesuffix('.')}{source}.")
    return "\n".join(lines)


def _locate(model: type[BaseModel], location: tuple[int | str, ...], values: Any) -> tuple[list[str], list[str]]:
    """Return the keys that lead to a problem, without pydantic's union tags, and the siblings of the last key."""
    keys: list[str] = []
    beside: list[str] = []
    current: Any = model
    for part in location:
        if _is_model(current) and hasattr(current, "resolve"):  # a record of a registered kind
            current = current.resolve(values)
        members = [current] if _is_model(current) else [member for member in get_args(current) if _is_model(member)]
        kinds = [(member, member.model_fields.get("kind")) for member in members]
        tagged = [member for member, field in kinds if field is not None and field.default == part]
        if tagged and not _is_model(current):
            current = tagged[0]
            continue
        keys.append(str(part))
        owner = members[0] if len(members) == 1 else None
        if isinstance(part, int):
            beside, current = [], owner
            continue
        fields = {field.alias or name: field for name, field in owner.model_fields.items()} if owner is not None else {}
        beside = list(fields)
        current = fields[part].annotation if part in fields else None
        values = values.get(part) if isinstance(values, Mapping) else None
    return keys, beside


def _is_model(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)
