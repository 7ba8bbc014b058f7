"""Schemas: from Python types to schemas that llama-server accepts, and values back."""

from __future__ import annotations

import datetime
import enum
import inspect
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, Union

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field, ValidationError, create_model
from typing_extensions import NotRequired, TypedDict

from llama_cpp import LlamaClient, LlamaLibrary
from llama_cpp.agent.constrained import Protocol
from llama_cpp.agent.schema import adapter_of, answer_text, for_server, plain, schema_of, type_text
from llama_cpp.agent.signature import signature_of
from llama_cpp.agent.tools import Tool
from llama_cpp.errors import LlamaBadRequestError
from tests.support.llamaserver import KEY, running


def steady(n: int) -> settings:
    """``n`` examples, the same ones each time: a test does not fail by chance."""
    options: Any = {"deadline": None, "derandomize": True, "database": None}
    return settings(max_examples=n, suppress_health_check=list(HealthCheck), **options)


COMMON = ["a", "b", "city", "root", "string", "schema", "x_y"]
NAMES = st.sampled_from([*COMMON, "x-y", "ref", "ü", "$"])
IDENTIFIERS = st.sampled_from([*COMMON, "value", "items"])
ODD_PATTERNS = ["^(a$", "^.$", "^[^a]$", r"^\s$"]
PATTERNS = [*ODD_PATTERNS, r"^[a-z]+$", r"\d", "^(?!x)a$", r"^\w{2,3}-\d*$", "^a|b$"]
PLAIN = st.sampled_from([int, str, float, bool, None, Any, dict, list])
LITERALS = st.lists(
    st.one_of(st.integers(-5, 5), st.sampled_from(["celsius", "a b", 'q"uote', "ü\n", ""])),
    min_size=1,
    max_size=4,
    unique_by=repr,
).map(lambda values: Literal[tuple(values)])
RESTRICTED = st.one_of(
    st.builds(
        lambda low, span: Annotated[int, Field(ge=low, le=low + span)],
        st.integers(-(10**12), 10**12),
        st.integers(0, 10**12),
    ),
    st.integers(-1000, 1000).map(lambda n: Annotated[int, Field(gt=n)]),
    st.integers(0, 5000).map(lambda n: Annotated[str, Field(max_length=n)]),
    st.integers(0, 30).map(lambda n: Annotated[str, Field(min_length=n)]),
    st.integers(0, 5000).map(lambda n: Annotated[list[int], Field(max_length=n)]),
    st.sampled_from(PATTERNS).map(
        lambda p: Annotated[str, Field(json_schema_extra={"pattern": p})]
    ),
)


def records(types: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    fields = st.dictionaries(IDENTIFIERS, types, max_size=4)
    enums = st.lists(st.sampled_from("abcde"), min_size=1, max_size=4, unique=True).map(
        lambda names: enum.Enum("Kind", {name: name.upper() for name in names})
    )
    return st.one_of(
        enums,
        fields.map(lambda f: make_dataclass("Record", f.items())),
        fields.map(lambda f: TypedDict("Entry", {k: NotRequired[t] for k, t in f.items()})),  # type: ignore[misc]
        st.dictionaries(NAMES, types, max_size=4).map(
            lambda f: create_model(
                "Model",
                **{f"f{i}": (t, Field(alias=name)) for i, (name, t) in enumerate(f.items())},
            )
        ),
    )


def compound(types: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        types.map(lambda t: list[t]),
        types.map(lambda t: dict[str, t]),
        types.map(lambda t: Optional[t]),  # noqa: UP045
        types.map(lambda t: set[int]),
        st.lists(types, min_size=1, max_size=3).map(lambda ts: tuple[tuple(ts)]),
        types.map(lambda t: tuple[t, ...]),
        st.lists(types, min_size=2, max_size=3).map(lambda ts: Union[tuple(ts)]),  # noqa: UP007
        records(types),
    )


TYPES = st.recursive(st.one_of(PLAIN, LITERALS, RESTRICTED), compound, max_leaves=6)


def function_of(hints: dict[str, Any], optional: int) -> Any:
    """A function with these parameters, the last ``optional`` of them with a default."""
    kinds = inspect.Parameter
    defaults = [kinds.empty] * (len(hints) - optional) + [None] * len(hints)
    parameters = [
        kinds(name, kinds.KEYWORD_ONLY, default=default, annotation=hint)
        for (name, hint), default in zip(hints.items(), defaults, strict=False)
    ]

    def function(**kwargs: Any) -> None:
        pass

    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = dict(hints)
    return function


FUNCTIONS = st.builds(
    function_of, st.dictionaries(IDENTIFIERS, TYPES, max_size=4), st.integers(0, 4)
)


@pytest.fixture(scope="module")
def client(
    library: LlamaLibrary, tiny_path: Callable[..., Path], tmp_path_factory: Any
) -> Iterator[LlamaClient]:
    """A server with a tiny model: its texts are random, but fit the grammar."""
    folder = tmp_path_factory.mktemp("schema")
    with (
        running(library, tiny_path("llama"), folder, "--ctx-size", 512, "-np", 1) as up,
        LlamaClient(up.url, api_key=KEY) as client,
    ):
        client.wait(60)
        yield client


def generate(client: LlamaClient, schema: Any, n: int) -> tuple[str, bool]:
    """The model's text under ``schema``, and whether it is complete."""
    options: Any = {"temperature": 2.0, "seed": 1, "min_p": 0.0}
    done = client.complete("JSON:", json_schema=schema, n_predict=n, **options)
    return str(done["content"]), done["stop_type"] == "eos"


@steady(100)
@given(function=FUNCTIONS)
def test_the_server_takes_every_function(client: LlamaClient, function: Any) -> None:
    signature = signature_of(function)
    schema = for_server(signature.schema)
    json.dumps(schema)
    text, ended = generate(client, schema, 24)
    if ended:
        assert isinstance(json.loads(text, strict=False), dict)


@steady(40)
@given(functions=st.lists(FUNCTIONS, min_size=1, max_size=3), answer=TYPES, parallel=st.booleans())
def test_the_server_takes_every_protocol(
    client: LlamaClient, functions: list[Any], answer: Any, parallel: bool
) -> None:
    signatures = [signature_of(function) for function in functions]
    tools = {
        f"t-{i}": Tool(f"t-{i}", "Does.", s.schema, functions[i], signature=s)
        for i, s in enumerate(signatures)
    }
    protocol = Protocol(tools, for_server(adapter_of(answer)[1]), parallel)
    protocol.system()
    generate(client, protocol.schema(), 1)


SHORT = st.one_of(
    st.sampled_from([bool, tuple[bool, bool]]),
    LITERALS,
    st.integers(-50, 50).map(lambda n: Annotated[int, Field(ge=n, le=n + 20)]),
    st.integers(0, 2).map(lambda n: Annotated[list[bool], Field(max_length=n)]),
    records(st.sampled_from([bool, None])),
)


@steady(25)
@given(hints=st.dictionaries(IDENTIFIERS, SHORT, min_size=1, max_size=3))
def test_what_is_generated_fits_the_function(client: LlamaClient, hints: dict[str, Any]) -> None:
    signature = signature_of(function_of(hints, 0))
    text, ended = generate(client, for_server(signature.schema), 120)
    if ended:
        signature.bind(json.loads(text))


@steady(100)
@given(hint=TYPES)
def test_every_type_has_a_short_text(hint: Any) -> None:
    schema = adapter_of(hint)[1]
    assert "$ref" not in json.dumps(schema)
    assert "\n" not in type_text(schema)


# -- by hand


@dataclass
class Node:
    value: int
    children: list[Node]


class Shape(BaseModel):
    kind: Literal["circle"]
    radius: float = 1.0


class Square(BaseModel):
    kind: Literal["square"]
    side: Shape | None = None


class Drawing(BaseModel):
    title: str = Field(description="what it shows")
    shapes: list[Annotated[Shape | Square, Field(discriminator="kind")]]


def test_titles_and_references_are_gone_but_not_properties_of_that_name() -> None:
    schema = schema_of(Drawing)
    assert schema["properties"]["title"] == {"type": "string", "description": "what it shows"}
    assert "title" not in schema
    assert "$defs" not in schema
    circle, square = schema["properties"]["shapes"]["items"]["oneOf"]
    assert circle["properties"]["radius"] == {"type": "number", "default": 1.0}
    assert square["properties"]["side"]["anyOf"] == [circle, {"type": "null"}]


def test_what_contains_itself_stays_a_definition(client: LlamaClient) -> None:
    adapter, schema = adapter_of(Node)
    assert schema["$ref"] == "#/$defs/Node"
    generate(client, for_server(schema), 8)
    tool = Tool("f", "", {"type": "object", "properties": {"n": schema}, "$defs": schema["$defs"]})
    reply = Protocol({"f": tool, "g": tool}, schema).schema()
    assert set(reply["$defs"]) == {"t0Node", "t1Node", "aNode"}
    generate(client, reply, 8)
    assert adapter.validate_python({"value": 1, "children": []}) == Node(1, [])
    assert answer_text(schema) == "Node, where Node = {value: integer, children: Node[]}"


def test_what_the_server_refuses_is_left_out(client: LlamaClient) -> None:
    hard = {
        "type": "object",
        "properties": {
            "long": {"type": "string", "maxLength": 10**6},
            "big": {"type": "integer", "maximum": 10**30},
            "pattern": {"type": "string", "pattern": "^(?=x).*$"},
            "tuple": {"type": "array", "prefixItems": [{"type": "null"}], "items": False},
            "not": {"type": "string", "not": {"const": "x"}, "format": "email"},
            "any": True,
        },
        "additionalProperties": False,
        "patternProperties": {"^x": {}},
    }
    with pytest.raises(LlamaBadRequestError):
        generate(client, hard, 1)
    schema = for_server(hard)
    assert schema["properties"]["pattern"] == {"type": "string"}
    assert schema["properties"]["tuple"] == {"type": "array", "prefixItems": [{"type": "null"}]}
    generate(client, schema, 1)


@pytest.mark.parametrize(
    ("pattern", "sent"),
    [
        (r"^[A-Z]{2}-\d{3}$", "^[A-Z]{2}-[0-9]{3}$"),
        (r"^(a|b)[\d-]\w?$", "^(a|b)[0-9-][A-Za-z0-9_]?$"),
        (r"^\.x$", r"^\.x$"),
    ],
)
def test_patterns_that_the_server_understands_are_kept(
    client: LlamaClient, pattern: str, sent: str
) -> None:
    schema = for_server({"type": "string", "pattern": pattern})
    assert schema["pattern"] == sent
    text, ended = generate(client, schema, 40)
    assert ended
    assert re.fullmatch(pattern, json.loads(text))


@pytest.mark.parametrize(
    "pattern", [*ODD_PATTERNS, "a", "^a", "^(?=a)a$", '^"$', "^a{1001}$", "^a\\$"]
)
def test_patterns_that_it_does_not_are_left_out(pattern: str) -> None:
    assert for_server({"type": "string", "pattern": pattern}) == {"type": "string"}


def test_given_schemas_are_made_plain() -> None:
    given_schema = {
        "title": "T",
        "$defs": {"a/b": {"type": "integer", "title": "AB"}},
        "properties": {"x": {"$ref": "#/$defs/a~1b", "description": "an x"}},
    }
    assert plain(given_schema) == {"properties": {"x": {"type": "integer", "description": "an x"}}}


def test_types_are_written_short() -> None:
    assert type_text(schema_of(Drawing)) == (
        '{title: string /* what it shows */, shapes: ({kind: "circle", radius?: number = 1.0} | '
        '{kind: "square", side?: {kind: "circle", radius?: number = 1.0} | null})[]}'
    )
    assert type_text(adapter_of(dict[str, int])[1]) == "{[key]: integer}"
    assert type_text(adapter_of(tuple[int, Any])[1]) == "[integer, any]"


@dataclass
class Person:
    """Someone who reports."""

    name: Annotated[str, Field(description="first and last", max_length=40)]
    age: Annotated[int, Field(ge=0, le=150)] = 30
    since: datetime.date | None = None


class Report(BaseModel):
    """A report of an accident."""

    by: Person
    points: list[Annotated[float, Field(gt=0)]] = Field(description="of each judge", min_length=2)


def test_descriptions_defaults_and_bounds_are_told() -> None:
    assert answer_text(schema_of(Report)) == (
        "{by: {name: string /* first and last; at most 40 characters */, "
        "age?: integer = 30 /* 0 to 150 */, since?: string | null /* a date */} "
        "/* Someone who reports. */, points: number[] /* of each judge; at least 2 items */} "
        "/* A report of an accident. */"
    )


def doubled(depth: int) -> Any:
    """Types that each have the one before twice."""
    inner: Any = str
    for i in range(depth):
        inner = create_model(f"Level{i}", left=(inner, ...), right=(inner, ...))
    return inner


def test_a_schema_does_not_grow_with_its_uses() -> None:
    schema = schema_of(doubled(12))
    assert len(json.dumps(schema)) < 6000
    assert len(answer_text(schema)) < 3000


TREE: Any = {
    "type": "object",
    "properties": {
        "value": {"type": "integer"},
        "children": {"type": "array", "items": {"$ref": "#"}},
    },
    "required": ["value"],
}


@pytest.mark.parametrize(
    ("given_schema", "good", "bad"),
    [
        ({"definitions": {"n": {"type": "integer"}}, "required": ["a"], "type": "object",
          "properties": {"a": {"$ref": "#/definitions/n"}}}, {"a": 1}, {"a": "x"}),
        ({"type": "object", "properties": {"a": {"enum": ["x"]}, "b": {"$ref": "#/properties/a"}},
          "required": ["a", "b"]}, {"a": "x", "b": "x"}, {"a": "x", "b": "y"}),
        ({"type": "object", "required": ["a", "c"], "additionalProperties": False, "properties":
          {"a": True, "b": False, "c": {"anyOf": [False, {"const": 1}]}}},
         {"a": [], "c": 1}, {"b": 1}),
        (TREE, {"value": 1, "children": [{"value": 2, "children": []}]}, {"children": [1]}),
        ({"type": "array", "items": [{"const": 1}, {"const": 2}]}, [1, 2], [2, 1]),
        ({"properties": {"a": {"$ref": "http://elsewhere/x"}, "b": {"$ref": "#/no/where"}},
          "type": "object", "required": ["a"]}, {"a": {}}, 1),
        ({"type": "integer", "minimum": 3, "exclusiveMinimum": True}, 7, "x"),
        ({"type": "object", "properties": None, "required": None, "anyOf": None}, {}, 1),
        ({"type": "object", "properties": []}, {}, 1),
        ({"type": "object", "properties": {"a": {"enum": [], "type": "any"}}}, {"a": 1}, 1),
    ],
)  # fmt: skip
def test_schemas_as_others_write_them_are_taken(
    client: LlamaClient, given_schema: Any, good: Any, bad: Any
) -> None:
    schema = plain(given_schema)
    check = Draft202012Validator(for_server(schema)).is_valid
    assert check(good) or "exclusiveMinimum" in given_schema
    assert not check(bad) or "exclusiveMinimum" in given_schema
    generate(client, for_server(schema), 8)
    assert answer_text(schema)


def test_a_type_without_a_schema_is_refused() -> None:
    with pytest.raises(TypeError, match="output_type"):
        adapter_of(Iterator)
    with pytest.raises(ValidationError):
        adapter_of(int)[0].validate_python("x")
