"""The base of every record: frozen, unknown keys refused, errors that name the key and a near miss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from stbench.errors import UserError, did_you_mean
from stbench.settings import origin_of


class Record(BaseModel):
    """A frozen pydantic model that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, ser_json_inf_nan="constants")

    @classmethod
    def parse(cls, values: Any, where: str, origins: Mapping[str, str] | None = None) -> Self:
        """Validate ``values``.

        Args:
            values: a mapping of the record's fields.
            where: what holds them (a file, a flag), for messages.
            origins: dotted key -> where its value comes from, for messages.

        Raises:
            UserError: one line per problem, with ``where``, the key, the value seen, its origin and the fix.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise UserError(explain(error, cls, where, origins)) from None


def explain(
    error: ValidationError, model: type[BaseModel], where: str, origins: Mapping[str, str] | None = None
) -> str:
    """Turn a pydantic error into one line per problem, with the known keys for an unknown one."""
    lines = []
    for problem in error.errors(include_url=False):
        path = ".".join(str(part) for part in problem["loc"]) or "value"
        origin = origin_of(origins or {}, path)
        source = f" ({origin})" if origin else ""
        if problem["type"] == "extra_forbidden":
            known = _fields_at(model, problem["loc"][:-1])
            near = did_you_mean(str(problem["loc"][-1]), known)
            listing = f" Known keys: {', '.join(known)}." if known else ""
            lines.append(f"{where}: unknown key {path!r}{source}.{near}{listing}")
        elif problem["type"] == "missing":
            lines.append(f"{where}: {path!r} is missing.")
        else:
            reason = problem["msg"].removeprefix("Value error, ")
            seen = f"{path} = {problem['input']!r}: " if problem["loc"] else ""
            lines.append(f"{where}: {seen}{reason}{source}.")
    return "\n".join(lines)


def _fields_at(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Names of the fields of the model nested at ``path``; empty when the path leaves plain models."""
    current: Any = model
    for part in path:
        field = current.model_fields.get(part) if _is_model(current) else None
        current = field.annotation if field is not None else None
    return list(current.model_fields) if _is_model(current) else []


def _is_model(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)
