"""JSON schemas: from Python types by Pydantic, made plain, and as llama-server takes them."""

from __future__ import annotations

import functools
import json
import re
import typing
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from .._needs import needs
from ..server._fields import Json
from ..server.values import encodable

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_INT64 = 2**63
# Characters of a definition that is repeated where it is used.
_LARGE = 300
_DROPPED = ("$defs", "definitions", "discriminator", "additionalItems", "$schema", "$id")
_VALUES = ("default", "const", "enum", "required", "examples")
_TYPES: dict[str, Any] = {
    "object": dict, "array": list, "string": str, "integer": int, "number": (int, float),
    "boolean": bool, "null": type(None),
}  # fmt: skip
_RANGES = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " items"),
)
# The server refuses a grammar that repeats more often than 2000 times.
_MOST_REPEATS = 1000
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems")
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_FORMATS = re.compile(r"date|time|date-time|uuid[1-5]?")
_KEPT = {
    *("type", "description", "default", "const", "enum", "properties", "required", "items"),
    *("prefixItems", "additionalProperties", "anyOf", "oneOf", "allOf", "$ref", "$defs"),
    *("pattern", "format", *_COUNTS, *_BOUNDS),
}
# Classes with a character that ends or breaks a JSON string, and constructs that no grammar can
# express: the server turns these into wrong grammars, or refuses them.
_HARD_PATTERN = re.compile(r'\(\?|\\[^dw.+*?()\[\]{}|/^$-]|\[\^|(?<!\\)\.|"|\{\d{4,}|\{\d*,\d{4,}')


def adapter_of(output_type: Any) -> tuple[TypeAdapter[Any], Json]:
    """A validator for ``output_type``, and its schema. TypeError for a type without one."""
    pydantic = needs("pydantic", "output_type")
    try:
        adapter = pydantic.TypeAdapter(output_type)
        return adapter, schema_of(adapter)
    except pydantic.errors.PydanticUserError as error:
        raise TypeError(f"output_type {output_type!r}: {first_line(error)}") from error


def given_type(schema: Json) -> Any:
    """A type for `adapter_of` with this schema. Only a value's own type and required members are
    checked here; the server's grammar checks the rest."""
    pydantic = needs("pydantic", "json_schema")

    def check(value: Any) -> Any:
        known = _TYPES.get(str(schema.get("type")), object)
        if not isinstance(value, known) or (isinstance(value, bool) and known in (int, float)):
            raise ValueError(f"it must be of the type {schema['type']}")
        missing = [name for name in schema.get("required", ()) if name not in value]
        if missing:
            raise ValueError(f"it lacks {', '.join(missing)}")
        return value

    own = pydantic.WithJsonSchema(dict(schema))
    return typing.Annotated[Any, pydantic.AfterValidator(check), own]


def schema_of(model: Any) -> Json:
    """The plain schema of a Pydantic model or TypeAdapter."""
    from pydantic.json_schema import GenerateJsonSchema

    class Generate(GenerateJsonSchema):
        ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012

    make = getattr(model, "model_json_schema", None) or model.json_schema
    return plain(make(schema_generator=Generate))


def error_text(error: Any) -> str:
    """A ValidationError worded for the model: the place, the problem and the given value."""
    parts = []
    for detail in error.errors(include_url=False, include_context=False):
        where = ".".join(str(step) for step in detail["loc"]) or "the value"
        given = detail.get("input")
        shown = "" if detail["type"] == "missing" else f" (given: {_short(given)})"
        parts.append(f"{where}: {detail['msg']}{shown}")
    return "; ".join(parts)


# -- making schemas plain


def plain(schema: Json) -> Json:
    """``schema`` without titles, and with each reference replaced by its definition.

    Recursive definitions, and large ones that are used more than once, stay. References may point
    anywhere into the schema; those that point elsewhere stand for any value.
    """
    references = _References(schema)
    result = references.plain(schema)
    return {**result, "$defs": references.kept} if references.kept else typing.cast("Json", result)


class _References:
    """The references in a schema, and the definitions that they need."""

    def __init__(self, root: Json) -> None:
        self.root = root
        self.kept: Json = {}
        self._uses: Counter[str] = Counter()
        self._inner: dict[str, set[str]] = {}
        self._names: dict[str, str] = {}
        waiting = [root]
        while waiting:
            found = list(_references_in(waiting.pop()))
            self._uses.update(found)
            for pointer in set(found) - self._inner.keys():
                target = self._target(pointer)
                self._inner[pointer] = set(_references_in(target))
                waiting.append(target)

    def _target(self, pointer: str) -> Any:
        node: Any = self.root if pointer.startswith("#") else {}
        for step in pointer.split("/")[1:] if node else ():
            step = unquote(step).replace("~1", "/").replace("~0", "~")
            if isinstance(node, list) and step.isdigit() and int(step) < len(node):
                node = node[int(step)]
            else:
                node = node.get(step, {}) if isinstance(node, Mapping) else {}
        return node

    @functools.cache  # noqa: B019 (for one schema)
    def _stays(self, pointer: str) -> bool:
        """Whether the definition stays."""
        seen: set[str] = set()
        waiting = [pointer]
        while waiting:
            new = self._inner[waiting.pop()] - seen
            if pointer in new:
                return True
            seen |= new
            waiting += new
        return self._uses[pointer] > 1 and self._size(pointer) > _LARGE

    @functools.cache  # noqa: B019 (for one schema)
    def _size(self, pointer: str) -> int:
        inner = [one for one in self._inner[pointer] if not self._stays(one)]
        return len(repr(self._target(pointer))) + sum(map(self._size, inner))

    def plain(self, node: Any) -> Any:
        """``node`` with its references resolved."""
        if isinstance(node, list):
            return [self.plain(item) for item in node if item is not False]
        if not isinstance(node, dict):
            return {} if node is True else node
        pointer = node.get("$ref")
        if isinstance(pointer, str):
            beside = self.plain({key: value for key, value in node.items() if key != "$ref"})
            target = self._resolved(pointer)
            return {**target, **beside} if isinstance(target, dict) else beside
        result = {}
        for key, value in node.items():
            if key in _DROPPED or (key == "title" and isinstance(value, str)):
                continue
            if value is None and key != "const":
                continue  # some languages write null for a missing member
            if key in ("properties", "patternProperties"):
                members = value if isinstance(value, Mapping) else {}  # PHP writes [] for {}
                result[key] = {k: self.plain(v) for k, v in members.items() if v is not False}
            elif key == "items" and isinstance(value, list):
                result["prefixItems"] = self.plain(value)  # as it was written before 2020
            elif key in _VALUES or isinstance(value, bool):
                result[key] = value
            else:
                result[key] = self.plain(value)
        return result

    def _resolved(self, pointer: str) -> Any:
        if not self._stays(pointer):
            return self.plain(self._target(pointer))
        if pointer not in self._names:
            last = re.sub(r"\W", "_", unquote(pointer.rpartition("/")[2]))
            name = last if last.strip("_") else "Root"
            while name in self._names.values():
                name += "_"
            self._names[pointer] = name
            self.kept[name] = self.plain(self._target(pointer))
        return {"$ref": f"#/$defs/{self._names[pointer]}"}


def _references_in(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _references_in(item)
    elif isinstance(node, Mapping):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for key, value in node.items():
            if key not in _DROPPED and key not in _VALUES:
                yield from _references_in(value)


# -- for the server


def for_server(schema: Any) -> Json:
    """``schema`` without the parts that the server's grammars ignore or refuse. These parts are
    checked when the value has arrived."""
    if not isinstance(schema, Mapping):
        return {}
    node = {k: v for k, v in schema.items() if k in _KEPT}
    for name in (*_COUNTS, *_BOUNDS):
        value = node.get(name)
        if name in _COUNTS:
            fits = isinstance(value, int) and 0 <= value <= _MOST_REPEATS
        else:
            number = isinstance(value, int | float) and not isinstance(value, bool)
            fits = number and abs(typing.cast("float", value)) < _INT64
        if not fits:
            node.pop(name, None)
    if "pattern" in node and (pattern := _pattern_for_server(str(node.pop("pattern")))):
        node["pattern"] = pattern
    kind, choices = node.get("type"), node.get("enum")
    known = [one for one in _TYPES if one == kind or (isinstance(kind, list) and one in kind)]
    if len(known) == 1:
        node["type"] = known[0]
    elif not known:
        node.pop("type", None)
    if not (isinstance(choices, list) and choices):
        node.pop("enum", None)
    if "format" in node and not _FORMATS.fullmatch(str(node["format"])):
        del node["format"]
    if "prefixItems" in node:
        node.pop("items", None)  # it would take precedence
    for name in ("items", "additionalProperties"):
        if isinstance(node.get(name), Mapping):
            node[name] = for_server(node[name])
        elif name == "items" and name in node:
            del node[name]
    for name in {"anyOf", "oneOf", "allOf", "prefixItems"} & set(node):
        node[name] = [for_server(inner) for inner in node[name]]
    for name in {"properties", "$defs"} & set(node):
        node[name] = {key: for_server(inner) for key, inner in node[name].items()}
    return node


def _pattern_for_server(pattern: str) -> str | None:
    """``pattern`` in the server's syntax, or None if it would refuse or misread it."""
    inner = pattern[1:-1]
    anchored = len(pattern) > 1 and pattern[0] == "^" and pattern[-1] == "$" and inner[-1:] != "\\"
    if not anchored or _HARD_PATTERN.search(inner):
        return None
    try:
        re.compile(pattern)
    except re.error:
        return None

    def spelled(found: re.Match[str]) -> str:
        text = found[0].replace(r"\d", "0-9").replace(r"\w", "A-Za-z0-9_")
        return text if found[0].startswith("[") or text == found[0] else f"[{text}]"

    return "^" + re.sub(r"\[(?:\\.|[^\]\\])*\]|\\.", spelled, inner) + "$"


def merge_definitions(schema: Json, prefix: str, into: Json) -> Json:
    """``schema`` with its definitions moved ``into`` those of another, under new names."""
    definitions = schema.get("$defs", {})
    new = {name: f"{prefix}{name}" for name in definitions}

    def walk(node: Any) -> Any:
        if isinstance(node, list):
            return [walk(item) for item in node]
        if not isinstance(node, dict):
            return node
        result = {k: walk(v) for k, v in node.items() if k != "$defs"}
        reference = result.get("$ref")
        if isinstance(reference, str):
            name = reference.removeprefix("#/$defs/")
            result["$ref"] = f"#/$defs/{new.get(name, name)}"
        return result

    for name, definition in definitions.items():
        into[new[name]] = walk(definition)
    return typing.cast("Json", walk(schema))


# -- for the reader


def type_text(schema: Any) -> str:
    """``schema`` in the short notation of TypeScript, which models know well. Definitions appear
    by name, see `definitions_text`."""
    if not isinstance(schema, Mapping) or not schema:
        return "any"
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix("#/$defs/")
    if "const" in schema:
        return as_json(schema["const"])
    if "enum" in schema:
        return " | ".join(map(as_json, schema["enum"]))
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " | ".join(dict.fromkeys(map(type_text, schema[key])))
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(str(one) for one in kind)
    if kind == "array":
        if "prefixItems" in schema:
            return f"[{', '.join(map(type_text, schema['prefixItems']))}]"
        text = type_text(schema.get("items", {}))
        return f"({text})[]" if "|" in text else f"{text}[]"
    if kind == "object" or "properties" in schema:
        if "properties" in schema:
            return "{" + ", ".join(members_text(schema, notes=True)) + "}"
        values = schema.get("additionalProperties")
        return f"{{[key]: {type_text(values)}}}" if values else "object"
    return str(kind or "any")


def members_text(schema: Any, *, notes: bool = False) -> list[str]:
    """The members of an object's ``schema``, each as ``name: type``, ``name?: type = default``,
    with ``/* notes */`` if these are wanted."""
    required = schema.get("required", ())
    members = []
    for name, inner in schema.get("properties", {}).items():
        text = f"{name}{'' if name in required else '?'}: {type_text(inner)}"
        if isinstance(inner, Mapping) and "default" in inner:
            text += f" = {as_json(inner['default'])}"
        members.append(text + (_comment(inner) if notes else ""))
    return members


def definitions_text(schema: Mapping[str, Any]) -> list[str]:
    """The definitions of ``schema``, each as ``Name = type``."""
    found = schema.get("$defs", {}).items()
    return [f"{name} = {type_text(inner)}{_comment(inner)}" for name, inner in found]


def answer_text(schema: Mapping[str, Any]) -> str:
    """The ``schema`` of an answer as the model reads it, with definitions and notes."""
    definitions = definitions_text(schema)
    where = f", where {', '.join(definitions)}" if definitions else ""
    return f"{type_text(schema)}{_comment(schema)}{where}"


def notes_text(schema: Any) -> str:
    """The description in ``schema``, and limits of its value."""
    if not isinstance(schema, Mapping):
        return ""
    parts = [" ".join(str(schema.get("description", "")).split())]
    inner = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    limits = inner[0] if len(inner) == 1 and isinstance(inner[0], Mapping) else schema
    for least, most, unit in _RANGES:
        low, high = limits.get(least), limits.get(most)
        if low is not None and high is not None:
            parts.append(f"{low} to {high}{unit}")
        elif low is not None:
            parts.append(f"at least {low}{unit}")
        elif high is not None:
            parts.append(f"at most {high}{unit}")
    named = {"exclusiveMinimum": "more than", "exclusiveMaximum": "less than", "format": "a",
             "multipleOf": "a multiple of", "pattern": "matching"}  # fmt: skip
    parts += [f"{words} {limits[name]}" for name, words in named.items() if name in limits]
    return "; ".join(filter(None, parts))


def _comment(schema: Any) -> str:
    notes = notes_text(schema)
    return f" /* {notes} */" if notes else ""


def as_json(value: Any) -> str:
    """``value`` as JSON for models: letters of every language stay as they are."""
    return encodable(json.dumps(value, ensure_ascii=False))


def first_line(error: BaseException) -> str:
    """The first line of an error's message."""
    return str(error).strip().splitlines()[0]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:80] + "…"
