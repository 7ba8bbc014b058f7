"""The parameters of a Python function: their schema, and their values from JSON.

Types come from the hints, descriptions from the docstring (Google, NumPy or Sphinx style).
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

from .._needs import needs
from ..errors import LlamaToolError
from ..server._fields import Json
from .context import RunContext, is_context
from .schema import first_line, schema_of

if TYPE_CHECKING:
    from pydantic import BaseModel

_SECTION = re.compile(r"(args|arguments|(other )?parameters|params|keyword args)\s*:?", re.I)
_OTHER = re.compile(
    r"(returns?|yields?|raises?|examples?|notes?|warnings?|see also|references|attributes|todo)"
    r"\s*:?",
    re.I,
)
_GOOGLE = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)")
_NUMPY = re.compile(r"\*{0,2}(\w+(?:\s*,\s*\w+)*)\s*(?::.*)?()")
_UNDERLINE = re.compile(r"\s*-{3,}\s*")
_SPHINX = re.compile(r":(?:param|parameter|arg|argument)\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:\s*(.*)")
_FIELD = re.compile(r":\w+[^:]*:")


@dataclass(frozen=True)
class Signature:
    """A function's parameters as a schema, and their values from JSON."""

    description: str
    schema: Json
    model: type[BaseModel]
    parameters: Mapping[str, inspect.Parameter]
    """The parameters that a call can set, and those with the run's context."""
    fields: Mapping[str, str]
    """The model's field of each parameter that a call can set."""
    unbound: bool = False
    """Whether it belongs to a method that was taken from its class."""

    @property
    def takes_context(self) -> bool:
        """Whether a parameter is a `RunContext`."""
        return len(self.parameters) > len(self.fields)

    def bind(
        self, arguments: Mapping[str, Any], context: RunContext[Any] | None = None
    ) -> tuple[list[Any], dict[str, Any]]:
        """Positional and keyword arguments for the function, checked and converted.

        Pydantic's ValidationError if they do not fit.
        """
        from pydantic.fields import FieldInfo

        values = self.model.model_validate(dict(arguments))
        positional: list[Any] = []
        keywords: dict[str, Any] = {}
        for name, parameter in self.parameters.items():
            key = self.fields.get(name)
            given = key is None or key in values.model_fields_set
            value = parameter.default
            if key is None:
                value = RunContext(None) if context is None else context
            elif given or isinstance(value, FieldInfo):
                given, value = True, getattr(values, key)
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
        given = dict(inspect.signature(function).parameters)
    except (TypeError, ValueError) as error:
        raise LlamaToolError(f"{name} cannot be a tool: {error}") from error
    hints = _hints(function, name)
    description, told = read_docstring(_doc(function))
    bound, unbound = bound_names(function), _is_unbound(function, given, hints)
    parameters = {
        key: one
        for i, (key, one) in enumerate(given.items())
        if one.kind is not one.VAR_KEYWORD and key not in bound and not (unbound and i == 0)
    }
    fields: dict[str, Any] = {}
    keys: dict[str, str] = {}
    for key, parameter in parameters.items():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            raise LlamaToolError(
                f"{name} cannot be a tool: *{key} has no place in JSON arguments; take a list"
            )
        hint = hints.get(key, Any)
        if not is_context(hint):
            # Numbered, because the parameter's name could be one that Pydantic reserves.
            keys[key] = f"p{len(fields)}"
            fields[keys[key]] = _field(key, parameter.default, hint, told.get(key))
    try:
        model = pydantic.create_model(name, __config__={"extra": "forbid"}, **fields)
        schema = schema_of(model)
    except (pydantic.errors.PydanticUserError, TypeError) as error:
        raise LlamaToolError(f"{name} cannot be a tool: {first_line(error)}") from error
    schema.pop("description", None)
    return Signature(description, schema, model, parameters, keys, unbound)


def _field(key: str, default: Any, hint: Any, text: str | None) -> tuple[Any, Any]:
    """A parameter as Pydantic's ``create_model`` takes a field."""
    import pydantic
    from pydantic.fields import FieldInfo

    options: dict[str, Any] = {"alias": key}
    text = text or _said(hint)
    if text:
        options["description"] = text
    if isinstance(default, FieldInfo):
        hint = Annotated[hint, default]
        if default.default_factory is not None:
            options["default_factory"] = default.default_factory
        elif not default.is_required():
            options["default"] = default.default
    elif default is not inspect.Parameter.empty:
        options["default"] = default
        if default is None and hint is not Any:
            hint = hint | None
    return hint, pydantic.Field(**options)


def bound_names(function: Any) -> set[str]:
    """The parameters that partials have bound by keyword, which the model must not set."""
    return {name for one in _layers(function) for name in getattr(one, "keywords", ())}


def _layers(function: Any) -> Iterator[Any]:
    """The partials around ``function``, from the outside in, also under decorators."""
    while function is not None:
        is_partial = isinstance(function, functools.partial)
        if is_partial:
            yield function
        function = function.func if is_partial else getattr(function, "__wrapped__", None)


def _is_unbound(function: Any, parameters: Mapping[str, Any], hints: Mapping[str, Any]) -> bool:
    """Whether it is a method that was taken from its class: its first parameter is the object."""
    first = next(iter(parameters), "")
    outer = getattr(function, "__qualname__", "").rpartition(".")[0]
    inside = bool(outer) and not outer.endswith("<locals>")
    return inside and inspect.isfunction(function) and first == "self" and first not in hints


# -- hints


def _hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    target = without_partials(function)
    if fields := getattr(target, "model_fields", None):  # a Pydantic model
        return {name: Annotated[field.annotation, field] for name, field in fields.items()}
    if isinstance(target, type):
        target = getattr(target, "__init__")  # noqa: B009 (mypy mistakes it for an instance's)
    elif not inspect.isroutine(target):
        target = type(target).__call__
    target = without_partials(inspect.unwrap(target))
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


def without_partials(function: Any) -> Any:
    """The function in a `functools.partial`, or in several."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _names_around(target: Any) -> dict[str, Any]:
    """The local names of the running functions in which ``target`` was defined."""
    names: dict[str, Any] = {}
    outer = set(getattr(target, "__qualname__", "").split(".")[:-1])
    frame: Any = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name in outer:
            names = {**frame.f_locals, **names}
        frame = frame.f_back
    return names


def _doc(function: Any) -> str | None:
    function = without_partials(function)
    if inspect.isroutine(function) or "__doc__" in vars(type(function)):
        return inspect.getdoc(function)
    return inspect.getdoc(type(function).__call__)


def _said(hint: Any) -> str | None:
    """The description in a hint: ``Annotated[str, "the city"]``."""
    extras = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    return next((extra for extra in extras if isinstance(extra, str)), None)


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
        underlined = any(map(_UNDERLINE.fullmatch, lines[i + 1 : i + 2]))
        heading = underlined or line.endswith(":")
        if heading and (_SECTION.fullmatch(line) or _OTHER.fullmatch(line)):
            body, i = _section(lines, i + 1 + underlined, underlined)
            if _SECTION.fullmatch(line):
                parameters.update(_entries(body, _NUMPY if underlined else _GOOGLE))
        elif _FIELD.match(line):
            body, i = _section(lines, i + 1, False)  # continuation lines
            found = _SPHINX.match(" ".join(" ".join([line, *body]).split()))
            if found:
                parameters[found[1]] = found[2].strip()
        else:
            description.append(lines[i].rstrip())
            i += 1
    return "\n".join(description).strip(), parameters


def _section(lines: list[str], start: int, underlined: bool) -> tuple[list[str], int]:
    """The lines of a section, and its end: the next underlined heading or the end of the indent."""
    end = start
    while end < len(lines):
        if underlined:
            if any(map(_UNDERLINE.fullmatch, lines[end + 1 : end + 2])):
                break
        elif lines[end].strip() and not lines[end][0].isspace():
            break
        end += 1
    return lines[start:end], end


def _entries(lines: list[str], pattern: re.Pattern[str]) -> dict[str, str]:
    """The names that ``pattern`` finds at the least indent, each with its text and the lines below
    it."""
    lines = [line for line in lines if line.strip()]
    indents = [len(line) - len(line.lstrip()) for line in lines]
    found: dict[str, str] = {}
    names: list[str] = []
    for line, indent in zip(map(str.strip, lines), indents, strict=True):
        entry = pattern.fullmatch(line) if indent == min(indents) else None
        if entry:
            names = re.split(r"\s*,\s*", entry[1])
            found.update(dict.fromkeys(names, entry[2].strip()))
            continue
        for name in names:
            found[name] = f"{found[name]} {line}".strip()
    return found
