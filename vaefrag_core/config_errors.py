"""Validation errors of configs in plain words, for people who type values in a form, a command or a file."""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from vaefrag_core.config import Config
from vaefrag_core.errors import InvalidInputError

AnyConfig = TypeVar("AnyConfig", bound=Config)

# What is expected, where pydantic's own words are those of a programmer.
EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "string_type": "text",
    "tuple_type": "a list",
    "missing": "a value",
}
LENGTHS = {"too_short": ("at least", "min_length"), "too_long": ("at most", "max_length")}


def parse(model: type[AnyConfig], values: Mapping[str, Any]) -> AnyConfig:
    """Validate values that a person typed.

    Args:
        model: the type of the config.
        values: its fields, nested as the config is.

    Returns:
        The config.

    Raises:
        InvalidInputError: naming every field at fault, what was expected and what came; its `fields` hold a sentence
            for each.

    Example:
        >>> from vaefrag_core.config import SpaceConfig
        >>> parse(SpaceConfig, {"draws": "1e3"}).draws
        1000
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        sentences = " ".join(field_errors(error, model).values())
        raise InvalidInputError(sentences, field_errors(error, model, named=False)) from None


def field_errors(error: ValidationError, model: type[BaseModel], *, named: bool = True) -> dict[str, str]:
    """Return what is wrong with each field of a model: its dotted name → one sentence.

    Args:
        error: the error that the model raised.
        model: the model.
        named: whether sentences name their field; a form shows them beside it.
    """
    messages: dict[str, str] = {}
    for item in error.errors(include_url=False):
        path = [str(part) for part in item["loc"]]
        field = ".".join(path)
        if item["type"] == "too_short" and any(other.startswith(f"{field}.") for other in messages):
            continue  # pydantic counts refused values of a list as missing: one sentence for each is enough
        if item["type"] == "extra_forbidden":
            messages[field] = f"There is no setting {_field_name(path)!r}. Leave it out."
        elif not path:
            messages[field] = f"Expected {_expectation(item)}."  # about several fields together
        else:
            meaning = _field_description(model, path)
            about = f" ({meaning})" if meaning else ""
            subject = f"{_field_name(path)}{about}: expected" if named else "Expected"
            messages[field] = f"{subject} {_expectation(item)}, got {_typed_text(item['input'])}."
    return messages


def _field_name(path: list[str]) -> str:
    """Return a field's name as people write it; a value of a list by its position."""
    *_, parent, last = ["", *path]
    name = f"value {int(last) + 1} of {parent}" if last.isdigit() else last
    return name.replace("_", " ")


def _expectation(item: ErrorDetails) -> str:
    """Return what a field takes."""
    if item["type"] in LENGTHS:
        words, bound = LENGTHS[item["type"]]
        number = item.get("ctx", {})[bound]
        return f"{words} {number} value{'' if number == 1 else 's'}"
    expected = item["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    if expected.startswith(("greater", "less")):
        expected = f"a value {expected}"
    return EXPECTED.get(item["type"], expected)


def _typed_text(value: object) -> str:
    """Return a value as it was typed; numbers that arrive as text, from a command or a form, without quotes."""
    if value is None or value == "":
        return "nothing"
    number = isinstance(value, str) and re.fullmatch(r"[-+]?\d*\.?\d+(e[-+]?\d+)?", value.strip(), re.IGNORECASE)
    return str(value).strip() if number else repr(value)


def _field_description(model: type[BaseModel], path: list[str]) -> str:
    """Return the description of the field at a path of nested configs."""
    text = ""
    for part in path:
        field = model.model_fields.get(part)
        if field is None:
            break
        text = field.description or ""
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            model = field.annotation
    return text
