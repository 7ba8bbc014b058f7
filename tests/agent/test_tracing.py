"""OpenTelemetry spans of an agent, as the SDK's exporter gets them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from llama_cpp import AsyncLlamaAgent, LlamaAgent
from llama_cpp.errors import LlamaServerError
from llama_cpp.server import Tracing
from tests.support.faultserver import HANG, called, chat, error, fault_server, whole
from tests.support.python import run_python

pytestmark = pytest.mark.quick
CALLS = [called("add", '{"a": 2, "b": 3}'), called("fail", "{}", 1)]
TURN = chat("", "tool_calls", CALLS), chat("five")


class Spans:
    """A provider, and the spans that have ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def tracing(self, **options: Any) -> Tracing:
        return Tracing(provider=self.provider, **options)

    @property
    def all(self) -> list[Any]:
        return sorted(self._exporter.get_finished_spans(), key=lambda span: span.start_time)

    def tree(self) -> list[tuple[str, str | None]]:
        """The names of the spans with those of their parents."""
        names = {span.context.span_id: span.name for span in self.all}
        return [(s.name, s.parent and names.get(s.parent.span_id, "other")) for s in self.all]


def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def fail() -> str:
    raise ValueError("secret")


def test_a_run_has_spans_for_its_requests_and_calls() -> None:
    spans = Spans()
    with (
        fault_server(*TURN, native=True) as server,
        LlamaAgent(
            server.url, tools=[add, fail], model="m", temperature=0.5, stop="x",
            tracing=spans.tracing(name="sums"),
        ) as agent,
    ):  # fmt: skip
        agent.run("a secret", max_tokens=9)
        port = int(server.url.rpartition(":")[2])
    run, first, *tools, second = spans.all
    top = "invoke_agent sums"
    assert spans.tree()[:2] == [(top, None), ("chat m", top)]
    assert sorted(spans.tree()[2:4]) == [("execute_tool add", top), ("execute_tool fail", top)]
    assert spans.tree()[4:] == [("chat m", top)]
    common = {
        "gen_ai.provider.name": "llama.cpp",
        "server.address": "127.0.0.1",
        "server.port": port,
        "gen_ai.request.model": "m",
    }
    tokens = {"gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 3}
    asked = {"stream": True, "temperature": 0.5, "max_tokens": 9, "stop_sequences": ("x",)}
    for span, reason in ((first, "tool_calls"), (second, "stop")):
        assert dict(span.attributes) == {
            "gen_ai.operation.name": "chat",
            **common,
            **{f"gen_ai.request.{name}": value for name, value in asked.items()},
            "gen_ai.response.finish_reasons": (reason,),
            **tokens,
        }
        assert span.kind is SpanKind.CLIENT
    assert dict(run.attributes) == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "sums",
        **common,
        "gen_ai.usage.input_tokens": 14,
        "gen_ai.usage.output_tokens": 6,
        "gen_ai.usage.cache_read.input_tokens": 0,
    }
    tools.sort(key=lambda span: str(span.name))
    assert dict(tools[0].attributes) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "add",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.description": "Add.",
        "gen_ai.tool.call.id": "c0",
    }
    assert tools[1].attributes["error.type"] == "ValueError"
    assert [span.status.status_code for span in tools] == [StatusCode.UNSET, StatusCode.ERROR]
    assert run.status.status_code is StatusCode.UNSET
    assert "secret" not in "".join(span.to_json() for span in spans.all)


def test_content_is_there_when_it_is_asked_for() -> None:
    spans = Spans()
    with (
        fault_server(*TURN, native=True) as server,
        LlamaAgent(server.url, tools=[add, fail], tracing=spans.tracing(content=True)) as agent,
    ):
        agent.run([{"role": "user", "content": [{"type": "text", "text": "2 + 3? \ud800"}]}])
    _, first, *tools, second = spans.all
    assert json.loads(first.attributes["gen_ai.input.messages"])[0] == {
        "role": "user", "parts": [{"type": "text", "content": "2 + 3? \ud800"}]
    }  # fmt: skip
    assert "Add." in first.attributes["gen_ai.tool.definitions"]
    made = {"type": "tool_call", "id": "c0", "name": "add", "arguments": '{"a": 2, "b": 3}'}
    (output,) = json.loads(first.attributes["gen_ai.output.messages"])
    assert (output["parts"][0], output["finish_reason"]) == (made, "tool_calls")
    read = json.loads(second.attributes["gen_ai.input.messages"])
    assert read[2]["parts"] == [{"type": "tool_call_response", "id": "c0", "response": "5"}]
    tools.sort(key=lambda span: str(span.name))
    assert json.loads(tools[0].attributes["gen_ai.tool.call.arguments"]) == {"a": 2, "b": 3}
    assert tools[0].attributes["gen_ai.tool.call.result"] == "5"
    assert tools[1].status.description == "secret"


async def test_the_program_s_spans_are_around_and_inside() -> None:
    spans = Spans()
    tracer = spans.provider.get_tracer("program")

    async def add(a: int, b: int) -> int:
        with tracer.start_as_current_span("inner"):
            return a + b

    turn = chat("", "tool_calls", CALLS[:1]), chat("five")
    with fault_server(*turn, native=True) as server, tracer.start_as_current_span("outer"):
        async with AsyncLlamaAgent(server.url, tools=[add], tracing=spans.tracing()) as agent:
            await agent.run("Hi")
            assert trace.get_current_span().name == "outer"  # type: ignore[attr-defined]
            await agent.chat("Hi")
    top = "invoke_agent"
    assert spans.tree() == [
        ("outer", None), (top, "outer"), ("chat", top), ("execute_tool add", top),
        ("inner", "execute_tool add"), ("chat", top), ("chat", "outer"),
    ]  # fmt: skip


def test_errors_and_streams_that_are_left_end_their_spans() -> None:
    spans = Spans()
    refused = error(400, "secret", "invalid_request_error")
    with (
        fault_server(refused, [*chat("Hello")[:-1], HANG], whole()) as server,
        LlamaAgent(server.url, tracing=spans.tracing(), retries=0) as agent,
    ):
        with pytest.raises(LlamaServerError):
            agent.run("Hi")
        found = [(s.status.status_code, s.attributes["error.type"]) for s in spans.all]
        assert found == 2 * [(StatusCode.ERROR, "LlamaBadRequestError")]
        assert "secret" not in "".join(span.to_json() for span in spans.all)
        for _ in agent.stream("Hi"):
            break
    assert len(spans.all) == 4
    assert spans.all[-1].status.status_code is StatusCode.UNSET


def test_they_are_off_by_default_and_then_cost_nothing() -> None:
    with pytest.raises(TypeError, match="Tracing"):
        LlamaAgent(tracing=5)  # type: ignore[arg-type]
    code = (
        "import sys; from llama_cpp import LlamaAgent; LlamaAgent()\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n"
        "sys.modules['opentelemetry.trace'] = None\n"
        "try: LlamaAgent(tracing=True)\n"
        "except ModuleNotFoundError as error: print(error)"
    )
    assert "pip install 'libllama-py[otel]'" in run_python(code).stdout
