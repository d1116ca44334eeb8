"""Errors of a configuration as sentences: which key is unknown, missing or wrong, and which keys are known."""

from __future__ import annotations

import difflib
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

__all__ = ["describe_config_error"]


def _known_keys(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    """Return the keys allowed where ``location`` (a pydantic error location) points."""
    for part in location[:-1]:
        if isinstance(part, int):  # a place in a list, whose model was found with the list
            continue
        field = model.model_fields.get(str(part))
        inner = None if field is None else _model_in(field.annotation)
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model in an annotation such as ``list[Model] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)


def describe_config_error(error: ValidationError, model: type[BaseModel], source: str) -> str:
    """Turn a pydantic error into sentences a user can act on.

    Parameters
    ----------
    error
        The error.
    model
        The model of the whole file.
    source
        Name of the file, for the message.
    """
    lines = [f"{source} cannot be used:"]
    for item in error.errors():
        location = item["loc"]
        key = ".".join(str(part) for part in location) or "(file)"
        if item["type"] == "extra_forbidden":
            known = _known_keys(model, location)
            close = difflib.get_close_matches(str(location[-1]), known, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            lines.append(f"  {key}: no such key; {hint}known here: {', '.join(known)}".removesuffix("known here: "))
        elif item["type"] == "missing":
            lines.append(f"  {key}: missing; add it")
        else:
            message = item["msg"].removeprefix("Value error, ")
            found = "" if isinstance(item["input"], dict | list) else f" (found {item['input']!r})"
            lines.append(f"  {key}: {message}{found}")
    return "\n".join(lines)
