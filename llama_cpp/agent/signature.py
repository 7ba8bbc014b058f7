"""The parameters of a Python function: their schema, and their values from JSON.

Types come from the hints, descriptions from the docstring (Google, NumPy or Sphinx style).
"""

from __future__ import annotations

import inspect
import re
import sys
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

from .._needs import needs
from ..errors import LlamaToolError
from ..server.fields import Json
from .schema import first_line, schema_of

if TYPE_CHECKING:
    from pydantic import BaseModel

_SECTION = re.compile(
    r"(args|arguments|parameters|params|other parameters|keyword args)\s*:?", re.I
)
_OTHER = re.compile(
    r"(returns?|yields?|raises?|examples?|notes?|warnings?|see also|references|attributes|todo)"
    r"\s*:?",
    re.I,
)
_GOOGLE = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)")
_NUMPY = re.compile(r"\*{0,2}(\w+(?:\s*,\s*\w+)*)\s*(?::.*)?")
_SPHINX = re.compile(r":(?:param|parameter|arg|argument)\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:\s*(.*)")
_FIELD = re.compile(r":\w+[^:]*:")


@dataclass(frozen=True)
class Signature:
    """A function's parameters as a schema, and their values from JSON."""

    description: str
    schema: Json
    model: type[BaseModel]
    parameters: Mapping[str, inspect.Parameter]

    def bind(self, arguments: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Positional and keyword arguments for the function, checked and converted.

        Pydantic's ValidationError if they do not fit.
        """
        values = self.model.model_validate(dict(arguments))
        positional: list[Any] = []
        keywords: dict[str, Any] = {}
        for i, (name, parameter) in enumerate(self.parameters.items()):
            given = f"p{i}" in values.model_fields_set
            value = getattr(values, f"p{i}") if given else parameter.default
            if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
                positional.append(value)
            elif given:
                keywords[name] = value
        return positional, keywords


def signature_of(function: Callable[..., Any]) -> Signature:
    """The signature of ``function``. LlamaToolError if a parameter cannot be given in JSON."""
    pydantic = needs("pydantic", "A tool")
    name = getattr(function, "__name__", type(function).__name__)
    try:
        parameters = dict(inspect.signature(function).parameters)
    except (TypeError, ValueError) as error:
        raise LlamaToolError(f"{name} cannot be a tool: {error}") from error
    hints = _hints(function, name)
    description, told = read_docstring(_doc(function))
    fields: dict[str, Any] = {}
    for parameter in list(parameters.values()):
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            del parameters[parameter.name]
        elif parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            raise LlamaToolError(
                f"{name} cannot be a tool: *{parameter.name} has no place in JSON arguments; "
                "take a list"
            )
    for i, parameter in enumerate(parameters.values()):
        hint = hints.get(parameter.name, Any)
        options: dict[str, Any] = {"alias": parameter.name}
        said = told.get(parameter.name) or _said(hint)
        if said:
            options["description"] = said
        if parameter.default is inspect.Parameter.empty:
            field = pydantic.Field(**options)
        else:
            field = pydantic.Field(parameter.default, **options)
            if parameter.default is None:
                hint = hint | None if hint is not Any else hint
        # Named by number: a field's own name could be one that Pydantic keeps for itself.
        fields[f"p{i}"] = (hint, field)
    try:
        model = pydantic.create_model(
            name, __config__=pydantic.ConfigDict(extra="forbid"), **fields
        )
        schema = schema_of(model)
    except (pydantic.errors.PydanticUserError, TypeError) as error:
        raise LlamaToolError(f"{name} cannot be a tool: {first_line(error)}") from error
    schema.pop("description", None)
    return Signature(description, schema, model, parameters)


# -- hints


def _hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    target: Any = function
    while hasattr(target, "func"):  # functools.partial
        target = target.func
    if not inspect.isroutine(target):
        target = type(target).__call__
    target = inspect.unwrap(target)
    try:
        return typing.get_type_hints(target, include_extras=True)
    except NameError as first:
        # A type that was defined inside a function, under `from __future__ import annotations`.
        try:
            around = _names_around(target)
            return typing.get_type_hints(target, localns=around, include_extras=True)
        except NameError:
            raise LlamaToolError(
                f"{name} cannot be a tool: {first}; its types must be at the top of a module"
            ) from first
    except TypeError as error:
        raise LlamaToolError(f"{name} cannot be a tool: {error}") from error


def _names_around(target: Any) -> dict[str, Any]:
    """The names of the functions that ``target`` was defined in, while they run."""
    names: dict[str, Any] = {}
    frame = sys._getframe(1)
    outer = set(getattr(target, "__qualname__", "").split(".")[:-1])
    walked: Any = frame
    while walked is not None:
        if walked.f_code.co_name in outer:
            names = {**walked.f_locals, **names}
        walked = walked.f_back
    return names


def _doc(function: Any) -> str | None:
    while hasattr(function, "func"):
        function = function.func
    if inspect.isroutine(function) or "__doc__" in vars(type(function)):
        return inspect.getdoc(function)
    return inspect.getdoc(type(function).__call__)


def _said(hint: Any) -> str:
    """The description in a hint: ``Annotated[str, "the city"]``."""
    if get_origin(hint) is Annotated:
        for extra in get_args(hint)[1:]:
            if isinstance(extra, str):
                return extra
    return ""


# -- docstrings


def read_docstring(text: str | None) -> tuple[str, dict[str, str]]:
    """The description, without the sections about parameters and results, and the description of
    each parameter."""
    lines = inspect.cleandoc(text or "").splitlines()
    description: list[str] = []
    parameters: dict[str, str] = {}
    i = 0
    while i < len(lines):
        line = lines[i].strip()
        underlined = i + 1 < len(lines) and re.fullmatch(r"\s*-{3,}\s*", lines[i + 1]) is not None
        heading = underlined or line.endswith(":")
        if heading and (_SECTION.fullmatch(line) or _OTHER.fullmatch(line)):
            body, i = _section(lines, i + 1 + underlined, underlined)
            if _SECTION.fullmatch(line):
                read = _numpy if underlined else _google
                parameters.update(read(body))
        elif _FIELD.match(line):
            field, i = _field(lines, i)
            found = _SPHINX.match(field)
            if found:
                parameters[found[1]] = found[2].strip()
        else:
            description.append(lines[i].rstrip())
            i += 1
    return "\n".join(description).strip(), parameters


def _section(lines: list[str], start: int, underlined: bool) -> tuple[list[str], int]:
    """The lines of a section, and its end: in Google style the end of the indent."""
    end = start
    while end < len(lines):
        line = lines[end]
        if underlined:
            if end + 1 < len(lines) and re.fullmatch(r"\s*-{3,}\s*", lines[end + 1]):
                break
        elif line.strip() and not line[0].isspace():
            break
        end += 1
    return lines[start:end], end


def _field(lines: list[str], start: int) -> tuple[str, int]:
    """A Sphinx field with its indented continuation lines."""
    end = start + 1
    while end < len(lines) and lines[end][:1].isspace():
        end += 1
    return " ".join(line.strip() for line in lines[start:end]), end


def _google(lines: list[str]) -> dict[str, str]:
    indents = [len(line) - len(line.lstrip()) for line in lines if line.strip()]
    least = min(indents, default=0)
    found: dict[str, str] = {}
    name = ""
    for line in lines:
        entry = _GOOGLE.fullmatch(line.strip()) if len(line) - len(line.lstrip()) == least else None
        if entry:
            name = entry[1]
            found[name] = entry[2].strip()
        elif name and line.strip():
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found


def _numpy(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    names: list[str] = []
    for line in lines:
        if not line.strip():
            continue
        entry = None if line[0].isspace() else _NUMPY.fullmatch(line.strip())
        if entry:
            names = [name.strip() for name in entry[1].split(",")]
            found.update(dict.fromkeys(names, ""))
        else:
            for name in names:
                found[name] = f"{found[name]} {line.strip()}".strip()
    return found
