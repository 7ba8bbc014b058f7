"""JSON schemas: from Python types by Pydantic, made plain, and as llama-server takes them."""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._needs import needs
from ..server._fields import Json
from ..server.values import encodable

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_INT64 = 2**63
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
# Classes with a character that ends or breaks a JSON string, and constructs beyond regular
# expressions in the narrow sense: the server turns these into other grammars, or none.
_HARD_PATTERN = re.compile(r'\(\?|\\[^dw.+*?()\[\]{}|/^$-]|\[\^|(?<!\\)\.|"|\{\d{4,}|\{\d*,\d{4,}')


def adapter_of(output_type: Any) -> tuple[TypeAdapter[Any], Json]:
    """A validator for ``output_type``, and its schema. TypeError for a type without one."""
    pydantic = needs("pydantic", "output_type")
    try:
        adapter = pydantic.TypeAdapter(output_type)
        return adapter, schema_of(adapter)
    except pydantic.errors.PydanticUserError as error:
        raise TypeError(f"output_type {output_type!r}: {first_line(error)}") from error


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
    """``schema`` without titles, with each definition in the place where it is used; only recursive
    ones stay definitions."""
    definitions: dict[str, Json] = schema.get("$defs", {})
    recursive = {name for name in definitions if _reaches(name, name, definitions, set())}
    safe = {name: f"Type{i}" for i, name in enumerate(sorted(recursive))}
    used: Json = {}

    def walk(node: Any) -> Any:
        if isinstance(node, list):
            return [walk(item) for item in node]
        if not isinstance(node, dict):
            return node
        reference = node.get("$ref")
        if isinstance(reference, str) and reference.startswith("#/$defs/"):
            name = reference.removeprefix("#/$defs/").replace("~1", "/").replace("~0", "~")
            beside = {k: v for k, v in node.items() if k != "$ref"}
            if name in recursive:
                if safe[name] not in used:
                    used[safe[name]] = None
                    used[safe[name]] = walk(definitions[name])
                return {"$ref": f"#/$defs/{safe[name]}", **walk(beside)}
            return {**walk(definitions[name]), **walk(beside)} if name in definitions else node
        result = {}
        for key, value in node.items():
            if key in ("$defs", "discriminator") or (key == "title" and isinstance(value, str)):
                continue
            if key == "default" and value is None:
                continue
            if key == "properties":
                result[key] = {name: walk(inner) for name, inner in value.items()}
            elif key in ("default", "const", "enum", "required", "examples"):
                result[key] = value
            else:
                result[key] = walk(value)
        return result

    result = walk(schema)
    return {**result, "$defs": used} if used else result


def _reaches(start: str, goal: str, definitions: Json, seen: set[str]) -> bool:
    for name in re.findall(r"'\$ref': '#/\$defs/([^']+)'", repr(definitions.get(start))):
        if name == goal:
            return True
        if name not in seen:
            seen.add(name)
            if _reaches(name, goal, definitions, seen):
                return True
    return False


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
            fits = isinstance(value, int | float) and abs(value) < _INT64
        if not fits:
            node.pop(name, None)
    if "pattern" in node and (pattern := _pattern_for_server(str(node.pop("pattern")))):
        node["pattern"] = pattern
    if "format" in node and not _FORMATS.fullmatch(str(node["format"])):
        del node["format"]
    if "prefixItems" in node:
        node.pop("items", None)  # it would win
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


def type_text(schema: Any, definitions: Json | None = None, depth: int = 0) -> str:
    """``schema`` in the short notation of TypeScript, which models know well."""
    if not isinstance(schema, Mapping) or not schema:
        return "any"
    definitions = definitions if definitions is not None else schema.get("$defs", {})
    if "$ref" in schema:
        name = str(schema["$ref"]).removeprefix("#/$defs/")
        if depth > 2 or name not in definitions:
            return "object"
        return type_text(definitions[name], definitions, depth + 1)
    if "const" in schema:
        return as_json(schema["const"])
    if "enum" in schema:
        return " | ".join(map(as_json, schema["enum"]))
    for key in ("anyOf", "oneOf"):
        if key in schema:
            texts = [type_text(inner, definitions, depth) for inner in schema[key]]
            return " | ".join(dict.fromkeys(texts))
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(str(one) for one in kind)
    if kind == "array":
        if "prefixItems" in schema:
            inner = ", ".join(type_text(s, definitions, depth) for s in schema["prefixItems"])
            return f"[{inner}]"
        text = type_text(schema.get("items", {}), definitions, depth)
        return f"({text})[]" if "|" in text else f"{text}[]"
    if kind == "object" or "properties" in schema:
        if "properties" in schema:
            return "{" + ", ".join(members_text(schema, definitions, depth)) + "}"
        values = schema.get("additionalProperties")
        return f"{{[key]: {type_text(values, definitions, depth)}}}" if values else "object"
    return str(kind or "any")


def members_text(schema: Any, definitions: Json | None = None, depth: int = 0) -> list[str]:
    """The members of an object's ``schema``, each as ``name: type``, ``name?: type``."""
    definitions = definitions if definitions is not None else schema.get("$defs", {})
    required = schema.get("required", ())
    return [
        f"{name}{'' if name in required else '?'}: {type_text(inner, definitions, depth)}"
        for name, inner in schema.get("properties", {}).items()
    ]


def as_json(value: Any) -> str:
    """``value`` as models read it: with the letters of every language."""
    return encodable(json.dumps(value, ensure_ascii=False))


def first_line(error: BaseException) -> str:
    """The first line of an error's message."""
    return str(error).strip().splitlines()[0]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:80] + "…"
