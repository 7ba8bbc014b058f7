"""Tools: a function's description for the model, its calls, and failures."""

from __future__ import annotations

import asyncio
import contextvars
import datetime
import enum
import functools
import itertools
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pydantic
import pytest
from typing_extensions import NotRequired, TypedDict

from llama_cpp import Tool, tool
from llama_cpp.agent import Deny, Replace, RunContext, ToolCall
from llama_cpp.agent.events import ToolCallFinished
from llama_cpp.agent.execute import Executor
from llama_cpp.agent.schema import adapter_of
from llama_cpp.agent.signature import read_docstring
from llama_cpp.agent.tools import as_tool, as_tools, result_text
from llama_cpp.errors import LlamaToolError
from tests.support.faultserver import soon

pytestmark = pytest.mark.quick


class Unit(enum.Enum):
    celsius = "C"
    fahrenheit = "F"


@dataclass
class Place:
    """Where something is."""

    city: str
    country: str = "Turkey"


class Options(TypedDict):
    days: int
    hourly: NotRequired[bool]


class Report(pydantic.BaseModel):
    text: str = pydantic.Field(description="what to report", max_length=20)
    places: list[Place] = []


def run(function: Any, _name: str = "f", **arguments: Any) -> ToolCall:
    made = as_tool(function)
    call = ToolCall(made.name, arguments)
    [*Executor().run([call], {made.name: made})]
    return call


# -- schemas


def test_a_function_becomes_a_definition() -> None:
    def get_weather(
        location: str, unit: Literal["celsius", "fahrenheit"] = "celsius", days: int | None = None
    ) -> str:
        """Get the weather.

        Of any place.

        Args:
            location: city and country,
                in English
            days (int): how many

        Returns:
            The weather.
        """
        return ""

    assert as_tool(get_weather).definition == {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Get the weather.\n\nOf any place.",
            "parameters": {
                "type": "object",
                "properties": {
                    "location": {"type": "string", "description": "city and country, in English"},
                    "unit": {
                        "type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius",
                    },
                    "days": {
                        "anyOf": [{"type": "integer"}, {"type": "null"}], "description": "how many",
                    },
                },
                "required": ["location"],
                "additionalProperties": False,
            },
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "Do it.\n\nArgs:\n    a: the first\n    b (int, optional): the\n        second\n\n"
        "Raises:\n    X: no",
        "Do it.\n\nParameters\n----------\na : str\n    the first\nb : int, optional\n    the\n"
        "    second\n\nReturns\n-------\nint\n    it",
        "Do it.\n\n:param a: the first\n:param int b: the\n    second\n:returns: it\n:rtype: int",
    ],
    ids=["google", "numpy", "sphinx"],
)
def test_docstrings_of_each_style_are_read(text: str) -> None:
    assert read_docstring(text) == ("Do it.", {"a": "the first", "b": "the second"})


def test_docstrings_that_only_look_like_sections_stay() -> None:
    text = "Note: this is text.\n\nSee Args for more."
    assert read_docstring(text) == (text, {})
    assert read_docstring(None) == ("", {})


def test_values_are_converted_to_the_hints() -> None:
    seen: list[Any] = []

    def f(
        place: Place, unit: Unit, options: Options, report: Report, day: datetime.date,
        pair: tuple[int, str], either: int | list[str], ratio: float = 0.5, *,
        tags: set[str] = frozenset(),  # type: ignore[assignment]
    ) -> None:  # fmt: skip
        seen.extend([place, unit, options, report, day, pair, either, ratio, tags])

    call = run(
        f, place={"city": "Izmir"}, unit="F", options={"days": "3"}, day="2026-11-22",
        report={"text": "x", "places": [{"city": "A", "country": "B"}]},
        pair=[1, "x"], either=["y"], tags=["a", "a"],
    )  # fmt: skip
    assert call.error is None
    assert seen == [
        Place("Izmir"), Unit.fahrenheit, {"days": 3}, Report(text="x", places=[Place("A", "B")]),
        datetime.date(2026, 11, 22), (1, "x"), ["y"], 0.5, {"a"},
    ]  # fmt: skip


def test_arguments_that_do_not_fit_are_named() -> None:
    def f(n: int, unit: Literal["a", "b"] = "a") -> int:
        return n

    assert run(f).error == "wrong arguments: n: Field required"
    call = run(f, n="many", unit="c", extra=1)
    assert call.error is not None
    for part in ("n:", "'many'", "unit: Input should be 'a' or 'b'", "extra:"):
        assert part in call.error


def test_parameters_may_have_any_name() -> None:
    def f(json: str, model_config: int, schema: int, copy: bool, self: int, _x: int = 1) -> Any:
        return [json, model_config, schema, copy, self, _x]

    properties = as_tool(f).parameters["properties"]
    assert list(properties) == ["json", "model_config", "schema", "copy", "self", "_x"]
    call = run(f, json="a", model_config=1, schema=2, copy=True, self=3)
    assert call.result == ["a", 1, 2, True, 3, 1]


def test_other_callables_are_tools() -> None:
    class Adder:
        """Add."""

        def __call__(self, a: int, b: int = 2) -> int:
            return a + b

        def method(self, a: int, /, b: int = 2, **rest: int) -> int:
            """Add in a method."""
            return a + b

    assert run(Adder(), a="1").result == 3
    assert run(Adder().method, a=1, b=4).result == 5
    assert run(functools.partial(Adder().method, b=5), a=1).result == 6
    assert as_tool(Adder().method).description == "Add in a method."
    assert as_tool(Adder()).name == "Adder"
    assert run(Adder().method).error == "wrong arguments: a: Field required"


def test_annotated_and_field_describe_and_restrict() -> None:
    field: Any = pydantic.Field

    def f(
        city: Annotated[str, "the city"],
        n: Annotated[int, field(ge=1, le=5, description="how many")],
        of: int = field(7, le=9, description="of how many"),
        tags: list[str] = field(default_factory=lambda: ["a"]),  # noqa: B008
    ) -> Any:
        return [city, n, of, tags]

    assert as_tool(f).parameters["properties"] == {
        "city": {"type": "string", "description": "the city"},
        "n": {"type": "integer", "minimum": 1, "maximum": 5, "description": "how many"},
        "of": {"type": "integer", "maximum": 9, "default": 7, "description": "of how many"},
        "tags": {"type": "array", "items": {"type": "string"}},
    }
    assert as_tool(f).parameters["required"] == ["city", "n"]
    assert "greater than or equal to 1" in (run(f, city="x", n=0).error or "")
    assert "less than or equal to 9" in (run(f, city="x", n=1, of=10).error or "")
    assert run(f, city="x", n=1).result == ["x", 1, 7, ["a"]]


class Shop:
    @tool
    def price(self, of: str) -> str:
        """The price."""
        return f"{of} {id(self)}"


def orders(user_id: int, since: str = "", limit: int = 5) -> list[Any]:
    """The orders."""
    return [user_id, since, limit]


def with_more(user_id: int, **more: Any) -> list[Any]:
    return [user_id, more]


def with_context(ctx: RunContext[int], /, since: str, also: RunContext[int] | None = None) -> Any:
    return [ctx.deps, also and also.deps, since]


def optional(since: str, ctx: Annotated[RunContext[int], "the run"]) -> list[Any]:
    return [ctx.deps, since]


bound = functools.partial(orders, user_id=42)


@functools.wraps(bound)
def wrapped(*args: Any, **kwargs: Any) -> Any:
    return bound(*args, **kwargs)


RAW: Any = {"properties": {"user_id": {}, "since": {}}, "required": ["user_id", "since"]}


@pytest.mark.parametrize(
    ("function", "properties", "hidden", "result"),
    [
        (bound, ["since", "limit"], "user_id", [42, "x", 5]),
        (functools.partial(orders, 42), ["since", "limit"], "user_id", [42, "x", 5]),
        (functools.partial(bound, limit=9), ["since"], "user_id", [42, "x", 9]),
        (functools.partial(functools.partial(orders, 42), limit=9), ["since"], "limit",
         [42, "x", 9]),
        (tool(wrapped, name="orders"), ["since", "limit"], "user_id", [42, "x", 5]),
        (tool(bound, schema=RAW), ["since"], "user_id", [42, "x", 5]),
        (tool(bound, schema={}), [], "user_id", [42, "x", 5]),
        (functools.partial(with_more, 42, secret=1), [], "secret", None),
        (with_context, ["since"], "ctx", [7, 7, "x"]),
        (with_context, ["since"], "also", [7, 7, "x"]),
        (optional, ["since"], "ctx", [7, "x"]),
    ],
)  # fmt: skip
def test_what_the_program_sets_is_neither_offered_nor_taken(
    function: Any, properties: list[str], hidden: str, result: Any
) -> None:
    made = as_tool(function)
    assert list(made.parameters.get("properties", {})) == properties
    assert not {hidden} & set(made.parameters.get("required", ()))
    with pytest.raises(LlamaToolError, match=hidden):
        made.bind({"since": "x", hidden: 1})
    if result is not None:
        positional, keywords = made.bind({"since": "x"}, RunContext(7))
        assert made(*positional, **keywords) == result


def test_methods_are_tools_of_their_objects() -> None:
    shop = Shop()
    for given in (shop.price, as_tool(shop.price)):
        assert list(given.parameters["properties"]) == ["of"]
        assert run(given, of="tea").result == f"tea {id(shop)}"
    for alone in (Shop.price, Shop.price.function):
        with pytest.raises(LlamaToolError, match=r"price is a method .* give object.method"):
            as_tool(alone)


@pytest.mark.parametrize(
    "definition",
    [
        {"type": "function", "function": {"name": "f", "parameters": RAW}},
        {"type": "function", "name": "f", "parameters": RAW},
        {"name": "f", "inputSchema": RAW},
        {"name": "f", "input_schema": RAW},
    ],
    ids=["chat", "responses", "mcp", "anthropic"],
)
def test_definitions_of_every_kind_are_taken(definition: Any) -> None:
    assert as_tool(definition).parameters == RAW


def test_types_of_a_function_are_found() -> None:
    @dataclass
    class Local:
        x: int

    def f(a: Local) -> int:
        return a.x

    assert run(f, a={"x": 2}).result == 2


@pytest.mark.parametrize("kind", [Place, Report])
def test_a_class_is_a_tool_with_the_types_of_its_fields(kind: Any) -> None:
    made = tool(kind)
    wanted = {k: v for k, v in adapter_of(kind)[1]["properties"].items() if k != "places"}
    assert {k: v for k, v in made.parameters["properties"].items() if k != "places"} == wanted
    values = {"city": "Oslo"} if kind is Place else {"text": "x"}
    assert run(kind, **values).result == kind(**values)


def test_an_async_generator_is_a_list() -> None:
    async def f(n: int) -> Any:
        for i in range(n):
            yield i

    assert run(f, n=3).text == "[0, 1, 2]"
    assert "no end" in run(f, n=10**9).text


def test_a_tool_that_cannot_be_is_refused() -> None:
    def many(*cities: str) -> None:
        pass

    def strange(lock: threading.Lock) -> None:
        pass

    def unknown(a: "Nowhere") -> None:  # type: ignore[name-defined]  # noqa: F821, UP037
        pass

    for function in (many, strange, unknown, lambda x: x):
        with pytest.raises(LlamaToolError):
            tool(function)
    with pytest.raises(TypeError):
        as_tool(3)
    with pytest.raises(TypeError):
        as_tool({"type": "function"})
    with pytest.raises(ValueError, match="two tools"):
        as_tools([many_named("a"), many_named("a")])


def many_named(name: str) -> Tool:
    return tool(lambda: None, name=name)


def test_a_decorator_with_and_without_arguments() -> None:
    @tool
    def a() -> int:
        """A."""
        return 1

    @tool(name="other", description="B.", timeout=3, parallel=False)
    def b() -> int:
        return 2

    assert (a(), b()) == (1, 2)
    assert (a.name, a.description) == ("a", "A.")
    assert (b.name, b.description, b.timeout, b.parallel) == ("other", "B.", 3, False)


def test_a_raw_schema_with_and_without_a_function() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    made = as_tool({"type": "function", "function": {"name": "f", "parameters": schema}})
    assert made.definition["function"]["parameters"] == schema
    assert made.function is None
    with pytest.raises(LlamaToolError):
        made(a=1)

    def double(a: Any) -> Any:
        return 2 * a

    raw = tool(double, schema={**schema, "additionalProperties": False})
    assert run(raw, a="1").result == "11"
    limited = tool(double, schema=schema, timeout=5, parallel=False, approval=True, max_result=9)
    assert (limited.timeout, limited.parallel) == (5, False)
    assert (limited.approval, limited.max_result) == (True, 9)
    assert run(raw).error == "wrong arguments: a: missing"
    assert run(raw, a=1, b=2).error == "wrong arguments: b: unknown"


# -- results


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("as it is", "as it is"),
        (None, "null"),
        (Place("Muğla"), '{"city": "Muğla", "country": "Turkey"}'),
        ([1, {"a": Unit.celsius}], '[1, {"a": "C"}]'),
        (datetime.date(2026, 1, 2), '"2026-01-02"'),
        (Report(text="x"), '{"text": "x", "places": []}'),
        (3 + 4j, '"3+4j"'),
        ({"type": "image_url"}, '{"type": "image_url"}'),
    ],
)
def test_results_become_text(result: Any, text: str) -> None:
    assert result_text(result) == text


class NoText:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 1


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (NoText(), "the result, a NoText, cannot be made text"),
        ({"a": [NoText()]}, "cannot be made text"),
        (itertools.count(), "more than 100000 items, or no end"),
        ({"a": (i for i in itertools.repeat(1))}, "no end"),
        (nested(500), "nested deeper"),
        (NoText, None),
        (iter([1, 2]), None),
        ("\udce9", None),
    ],
)
def test_results_that_cannot_be_told_are_errors_of_the_tool(result: Any, error: str | None) -> None:
    call = run(tool(lambda: result, name="f"))
    assert error is None or error in (call.error or "")
    call.text.encode()


def test_an_exception_without_a_text_is_told() -> None:
    class Wrong(Exception):
        __str__ = NoText.__str__

    def f() -> None:
        raise Wrong

    assert run(f).text == "Error: Wrong: an error without a text"


# -- running


def test_tools_are_heard_of_as_they_end_and_do_not_take_every_thread() -> None:
    free, most, inside = threading.Event(), 0, 0
    lock = threading.Lock()

    def f(n: int) -> int:
        nonlocal most, inside
        with lock:
            inside += 1
            most = max(most, inside)
        if n == 0:
            free.wait(20)
        with lock:
            inside -= 1
        return n

    calls = [ToolCall("f", {"n": n}) for n in range(100)]
    ended = []
    for event in Executor().run(calls, as_tools([f])):
        if isinstance(event, ToolCallFinished):
            ended.append(event.call.result)
        if len(ended) == 99:
            free.set()
    assert sorted(ended) == list(range(100))
    assert ended[-1] == 0
    assert most <= 16


def test_calls_that_never_end_do_not_pile_up() -> None:
    free = threading.Event()

    def stuck() -> None:
        free.wait(20)

    made = tool(stuck, timeout=0.01)
    errors = [run(made).error for _ in range(18)]
    assert errors[-1] == "16 calls of stuck took too long and go on"
    free.set()
    assert soon(lambda: "longer than" in str(run(made).error) or run(made).error is None)


def test_exceptions_are_told() -> None:
    def f() -> None:
        raise KeyError("x")

    def g() -> None:
        raise LlamaToolError("in its own words")

    assert run(f).text == "Error: KeyError: 'x'"
    assert run(g).error == "in its own words"


def test_an_unknown_tool_is_told_with_those_there_are() -> None:
    call = ToolCall("g", {})
    [*Executor().run([call], as_tools([many_named("a"), many_named("b")]))]
    assert call.error == "there is no tool 'g', only a, b"


def test_independent_calls_run_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=10)
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="none")
    name.set("mine")

    def f() -> str:
        both.wait()
        return name.get()

    calls = [ToolCall("f", {}), ToolCall("f", {})]
    [*Executor().run(calls, as_tools([f]))]
    assert [call.result for call in calls] == ["mine", "mine"]


def test_calls_that_are_not_independent_run_alone_and_in_order() -> None:
    inside, order = 0, []

    def f(n: int) -> None:
        nonlocal inside
        inside += 1
        time.sleep(0.01)
        order.append((n, inside))
        inside -= 1

    calls = [ToolCall("f", {"n": n}) for n in range(4)]
    [*Executor().run(calls, as_tools([tool(f, parallel=False)]))]
    assert order == [(n, 1) for n in range(4)]


def test_async_tools_are_awaited() -> None:
    async def f(n: int) -> list[Any]:
        await asyncio.sleep(0)
        return [n + 1, name.get()]

    async def inside() -> ToolCall:  # as in a notebook
        return run(f, n=1)

    name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="none")
    name.set("mine")
    for function in (f, tool(f, timeout=9), tool(f, parallel=False)):
        assert run(function, n=1).result == [2, "mine"]
    assert asyncio.run(inside()).result == [2, "mine"]


def test_a_tool_that_takes_too_long_is_left() -> None:
    free = threading.Event()

    def stuck() -> None:
        free.wait(20)

    async def also() -> None:
        await asyncio.sleep(20)

    for function in (stuck, also):
        start = time.monotonic()
        call = run(tool(function, timeout=0.1))
        assert "longer than 0.1 s" in (call.error or "")
        assert 0.1 <= call.duration < 5
        assert time.monotonic() - start < 5
    free.set()


def test_the_limit_of_what_is_awaited_may_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    result = Future.result
    monkeypatch.setattr(Future, "result", lambda self, seconds: result(self, seconds + 5))

    async def stuck() -> None:
        await asyncio.sleep(20)

    async def fails() -> None:
        raise TimeoutError("the tool's own")

    assert run(tool(stuck, timeout=0.1)).error == "stuck took longer than 0.1 s"
    assert run(tool(fails, timeout=4)).error == "TimeoutError: the tool's own"


def test_hooks_deny_replace_change_and_see() -> None:
    seen: list[tuple[str, Any, str | None]] = []

    def before(call: ToolCall) -> Deny | Replace | None:
        if call.arguments.get("n") == 0:
            return Deny("not zero")
        if call.arguments.get("n") == 1:
            return Replace("from a cache")
        call.arguments["n"] += 1
        return None

    def after(call: ToolCall) -> Replace | None:
        seen.append((call.name, call.result, call.error))
        return Replace("seven") if call.result == 7 else None

    def f(n: int) -> int:
        return n

    calls = [ToolCall("f", {"n": n}) for n in (0, 1, 5, 6)]
    [*Executor(before, after).run(calls, as_tools([tool(f, parallel=False)]))]
    assert [call.text for call in calls] == ["Error: not zero", "from a cache", "6", "seven"]
    found = [(None, "not zero"), ("from a cache", None), (6, None), (7, None)]
    assert seen == [("f", *one) for one in found]


def test_what_a_hook_raises_comes_out() -> None:
    def before(call: ToolCall) -> None:
        raise PermissionError("stop everything")

    calls = [ToolCall("a", {}), ToolCall("a", {})]
    with pytest.raises(PermissionError):
        [*Executor(before).run(calls, as_tools([many_named("a")]))]


@pytest.mark.parametrize("decision", [False, True, "no", Deny, Replace, 0])
@pytest.mark.parametrize("hook", ["before_call", "after_call"])
def test_a_decision_that_is_none_stops_everything(hook: str, decision: Any) -> None:
    ran: list[int] = []

    def f() -> None:
        ran.append(1)

    calls = [ToolCall("f", {}), ToolCall("f", {})]
    hooks: dict[str, Any] = {hook: lambda call: decision}
    with pytest.raises(TypeError, match=f"{hook} must be None"):
        [*Executor(**hooks).run(calls, as_tools([f]))]
    assert not ran or hook == "after_call"


def test_calls_are_decided_on_one_by_one_before_any_runs_beside_another() -> None:
    asked: list[tuple[threading.Thread, int]] = []
    ran: list[int] = []

    def before(call: ToolCall) -> None:
        asked.append((threading.current_thread(), len(ran)))

    def f(n: int) -> None:
        ran.append(n)

    [*Executor(before).run([ToolCall("f", {"n": n}) for n in range(3)], as_tools([f]))]
    assert asked == 3 * [(threading.current_thread(), 0)]
    assert sorted(ran) == [0, 1, 2]


def test_async_hooks_are_awaited() -> None:
    async def before(call: ToolCall) -> Deny:
        return Deny("later")

    call = ToolCall("a", {})
    [*Executor(before).run([call], as_tools([many_named("a")]))]
    assert call.error == "later"
