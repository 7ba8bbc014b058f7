"""Tools that a model may call: plain Python functions, or functions behind a raw JSON schema."""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypedDict, overload

from .._needs import needs
from ..errors import LlamaToolError
from ..native.arguments import check_count, check_type
from ..native.peers import unknown_keyword
from ..server._fields import Json
from ..server.values import encodable
from .context import RunContext, check_seconds
from .schema import as_json, error_text, for_server, plain
from .signature import Signature, bound_names, signature_of, without_partials

if TYPE_CHECKING:
    from typing_extensions import Unpack

# Of OpenAI, MCP and Anthropic.
_PARAMETERS = ("parameters", "inputSchema", "input_schema")
_MOST_ITEMS = 100_000  # of an iterator
_DEEPEST = 200
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


@dataclass
class ToolCall:
    """One call of a tool by the model, and its result."""

    name: str
    """The tool's name."""
    arguments: Json
    """The model's arguments; empty if they were not a JSON object."""
    id: str = ""
    """Ties the result to the call in the messages."""
    result: Any = None
    """The tool's return value."""
    error: str | None = None
    """The error that the model reads instead of a result."""
    duration: float = 0.0
    """Seconds that the tool took."""
    pending: bool = False
    """Whether it was not made: it waits for a decision, or it is the caller's."""
    _text: str | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def text(self) -> str:
        """The text that the model reads: the result as text or JSON, or the error."""
        if self._text is not None:
            return self._text
        return f"Error: {self.error}" if self.error is not None else result_text(self.result)

    @text.setter
    def text(self, text: str) -> None:
        self._text = text


@dataclass(frozen=True)
class Deny:
    """Returned by a ``before_call`` hook: do not call, and tell the model why."""

    reason: str = "the user does not allow this call"
    """The text for the model."""


@dataclass(frozen=True)
class Replace:
    """Returned by a hook: use this result, instead of a call (``before_call``) or instead of the
    tool's result (``after_call``)."""

    result: Any
    """The result."""


@dataclass(frozen=True)
class Wait:
    """Returned by a ``before_call`` hook: end the run with the reason ``approval``. The call is
    decided on later, see `LlamaAgent.resume`."""


BeforeCall = Callable[[ToolCall], Deny | Replace | Wait | None]
AfterCall = Callable[[ToolCall], Replace | None]


@dataclass(eq=False)
class Tool:
    """A tool: its description for the model, and its function.

    Made by `tool`, or by the agent from functions and definitions. A tool without a ``function`` is
    run by the caller: the agent stops and returns the call.
    """

    name: str
    """Its name for the model."""
    description: str
    """Its description for the model."""
    parameters: Json
    """The arguments' JSON schema."""
    function: Callable[..., Any] | None = None
    """Sync or async; called with the arguments, converted to its hints."""
    timeout: float | None = None
    """Seconds after which the call fails; None waits for ever."""
    parallel: bool = True
    """Whether it may run in parallel with other calls of the same reply."""
    approval: bool = False
    """Whether each call waits for a decision, see `LlamaAgent.resume`."""
    max_result: int | None = None
    """Characters of a result that the model reads, instead of ``Limits.result``."""
    signature: Signature | None = field(default=None, repr=False)
    """The function's parameters; None if the schema was given by hand."""

    left: list[Future[Any]] = field(default_factory=list, init=False, repr=False)
    """Threads of calls that took too long."""

    def __post_init__(self) -> None:
        check_type(self.parameters, dict)
        check_seconds(self.timeout, "timeout")
        if self.max_result is not None:
            check_count(self.max_result, "max_result")

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself, unchecked."""
        if self.function is None:
            raise LlamaToolError(f"the tool {self.name} has no function")
        return self.function(*args, **kwargs)

    @cached_property
    def definition(self) -> Json:
        """The tool as the server takes it."""
        about = {"name": self.name, "description": self.description}
        return {"type": "function", "function": about | {"parameters": for_server(self.parameters)}}

    def __get__(self, instance: object, owner: type | None = None) -> Tool:
        """The tool of an object, where a method was made one."""
        if instance is None or self.function is None or self.signature is None:
            return self
        if not self.signature.unbound:
            return self
        method = self.function.__get__(instance)
        return replace(self, function=method, signature=replace(self.signature, unbound=False))

    def bind(
        self, arguments: Mapping[str, Any], context: RunContext[Any] | None = None
    ) -> tuple[list[Any], dict[str, Any]]:
        """Positional and keyword arguments for the function, checked and converted.

        LlamaToolError, worded for the model, if they do not fit.
        """
        if self.signature is not None:
            from pydantic import ValidationError

            try:
                return self.signature.bind(arguments, context)
            except ValidationError as error:
                raise LlamaToolError(f"wrong arguments: {error_text(error)}") from error
        known = self.parameters.get("properties", {})
        required = self.parameters.get("required", ())
        bound = bound_names(self.function)
        wrong = [f"{name}: missing" for name in required if name not in arguments]
        closed = self.parameters.get("additionalProperties", not known) is False
        wrong += [
            f"{name}: unknown"
            for name in arguments
            if name in bound or (closed and name not in known)
        ]
        if wrong:
            raise LlamaToolError(f"wrong arguments: {'; '.join(wrong)}")
        return [], dict(arguments)


class ToolOptions(TypedDict, total=False):
    """The options of `tool`."""

    name: str | None
    """Its name for the model; by default the function's."""
    description: str | None
    """Its description for the model; by default that of the docstring."""
    schema: Mapping[str, Any] | None
    """The arguments' JSON schema; the function then gets them unconverted."""
    timeout: float | None
    """Seconds after which a call fails."""
    parallel: bool
    """False for a function that must not run in parallel with others."""
    approval: bool
    """True for a function whose calls wait for a decision."""
    max_result: int | None
    """Characters of a result that the model reads."""


@overload
def tool(function: Callable[..., Any], **options: Unpack[ToolOptions]) -> Tool: ...


@overload
def tool(**options: Unpack[ToolOptions]) -> Callable[[Callable[..., Any]], Tool]: ...


def tool(
    function: Callable[..., Any] | None = None, **options: Unpack[ToolOptions]
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """A tool of ``function``; also a decorator, with or without arguments.

    The schema comes from the hints, the descriptions from the docstring (Google, NumPy or Sphinx
    style) or from ``Annotated[str, "the city"]``. ``name`` and ``description`` replace the
    function's. ``schema`` gives the arguments' JSON schema by hand: the function then gets them
    unconverted. ``timeout`` is in seconds. ``parallel=False`` is for a function that must not run
    in parallel with others, ``approval=True`` for one whose calls wait for a decision
    (`LlamaAgent.resume`). ``max_result`` is the greatest number of characters of a result.

    LlamaToolError for a function whose parameters cannot be given in JSON.
    """
    for option in options:
        if option not in ToolOptions.__annotations__:
            raise unknown_keyword(option, ToolOptions.__annotations__, "tool")
    if function is None:
        return lambda function: tool(function, **options)
    if not callable(function):
        raise TypeError(f"a tool is made of a function, not of {function!r}")
    name, schema = options.get("name") or _name_of(function), options.get("schema")
    names = ("timeout", "parallel", "approval", "max_result")
    limits: Any = {name: options[name] for name in names if name in options}  # type: ignore[literal-required]
    if not _NAME.fullmatch(name):
        raise LlamaToolError(
            f"{name!r} cannot be a tool's name: use letters, digits, _ and -, or pass name="
        )
    if schema is not None:
        text = options.get("description") or inspect.getdoc(function) or ""
        own = _without(plain(dict(schema)), bound_names(function))
        return Tool(name, text, own, function, **limits)
    signature = signature_of(function)
    text = options.get("description") or signature.description
    return Tool(name, text, signature.schema, function, **limits, signature=signature)


def as_tool(given: Any) -> Tool:
    """A `Tool` of a function, a tool, or a definition in the form of OpenAI, MCP or Anthropic.

    TypeError for anything else. LlamaToolError for a method without its object.
    """
    if isinstance(given, Mapping):
        function = given.get("function", given)
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise TypeError(f"a tool's definition needs a function with a name: {given!r}")
        found = [function[key] for key in _PARAMETERS if function.get(key)]
        parameters = found[0] if found else {"type": "object", "properties": {}}
        if not isinstance(parameters, Mapping):
            raise TypeError(
                f"the parameters of {function['name']!r} are a schema, not {parameters!r}"
            )
        return Tool(function["name"], function.get("description") or "", plain(dict(parameters)))
    if callable(given):
        made = given if isinstance(given, Tool) else tool(given)
        if made.signature is not None and made.signature.unbound:
            raise LlamaToolError(f"{made.name} is a method without its object: give object.method")
        return made
    raise TypeError(f"a tool is a function, a Tool or a definition, not {given!r}")


def as_tools(given: Iterable[Any]) -> dict[str, Tool]:
    """Tools by name. ValueError for two of one name."""
    if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
        raise TypeError(f"tools must be a list of functions, tools or definitions, not {given!r}")
    tools: dict[str, Tool] = {}
    for one in given:
        made = as_tool(one)
        if made.name in tools:
            raise ValueError(f"two tools have the name {made.name!r}")
        tools[made.name] = made
    return tools


def tool_name(name: str) -> str:
    """``name`` as far as the name of a tool can have it."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64]


def listed(result: Any, depth: int = 0) -> Any:
    """``result`` with a list for each iterator in it. LlamaToolError for one without end, and for
    a result that is nested too deep."""
    if depth > _DEEPEST:
        raise LlamaToolError(f"the result is nested deeper than {_DEEPEST} levels")
    if isinstance(result, Iterator):
        result = list(itertools.islice(result, _MOST_ITEMS + 1))
        if len(result) > _MOST_ITEMS:
            raise LlamaToolError(f"the result has more than {_MOST_ITEMS} items, or no end")
    if type(result) is dict:
        return {key: listed(value, depth + 1) for key, value in result.items()}
    if type(result) in (list, tuple):
        return type(result)(listed(value, depth + 1) for value in result)
    return result


async def gathered(values: AsyncIterator[Any]) -> Iterator[Any]:
    """The values of an async generator, for `listed`."""
    found = []
    async for value in values:
        found.append(value)
        if len(found) > _MOST_ITEMS:
            break
    return iter(found)


def media_in(result: Any) -> list[Json]:
    """The images and sounds in a result, as parts of a message (`llama_cpp.server.image`)."""
    parts = result if isinstance(result, list | tuple) else [result]
    return [part for part in parts if _is_media(part)]


def _is_media(part: Any) -> bool:
    kind = part.get("type") if isinstance(part, dict) else None
    return kind in ("image_url", "input_audio") and isinstance(part.get(kind), dict)


def _shown(result: Any) -> Any:
    """``result`` with a text for each of its images and sounds."""
    if isinstance(result, list | tuple):
        return [_shown(part) for part in result]
    return f"[{result['type'].partition('_')[0]} attached]" if _is_media(result) else result


def result_text(result: Any) -> str:
    """A tool's result as the model reads it: text as it is, anything else as JSON.

    LlamaToolError for a result that cannot be made text.
    """
    core = needs("pydantic_core", "A tool")
    try:
        result = _shown(result) if media_in(result) else result
        if isinstance(result, str):
            return encodable(result)
        try:
            return as_json(
                core.to_jsonable_python(listed(result), fallback=str, inf_nan_mode="strings")
            )
        except (ValueError, TypeError):
            return encodable(str(result))
    except LlamaToolError:
        raise
    except Exception as error:
        raise LlamaToolError(
            f"the result, a {type(result).__name__}, cannot be made text ({type(error).__name__})"
        ) from error


def _without(schema: Json, names: set[str]) -> Json:
    """``schema`` without the properties ``names``."""
    properties = {k: v for k, v in schema.get("properties", {}).items() if k not in names}
    required = [name for name in schema.get("required", ()) if name not in names]
    return {**schema, "properties": properties, "required": required} if names else schema


def _name_of(function: Any) -> str:
    function = without_partials(function)
    return str(getattr(function, "__name__", None) or type(function).__name__)
