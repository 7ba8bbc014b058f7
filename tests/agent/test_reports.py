"""Public bug reports about tool calls, streams and structured output, tried on the agent.

docs/reports.md lists them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from codegen import source
from llama_cpp import LlamaAgent, LlamaServer
from tests.support import tiny
from tests.support.faultserver import chat, delta, event, fault_server, streamed
from tests.support.python import ROOT

TEMPLATE = source.resolve().root / "models" / "templates" / "Qwen-Qwen2.5-7B-Instruct.jinja"
PARIS, ROME = '{"city": "Paris"}', '{"city": "Rome"}'


def weather(city: str = "Oslo") -> str:
    """Tell the weather."""
    return f"22 in {city}"


def call(arguments: Any = "", index: int | None = 0, id: str | None = None, name: str = "") -> Any:
    function = {"name": name, "arguments": arguments} if name else {"arguments": arguments}
    found = {"index": index, "id": id, "type": "function", "function": function}
    return {key: value for key, value in found.items() if (key, value) != ("index", None)}


def begin(arguments: Any = "", index: int | None = 0, id: str | None = "a") -> Any:
    return call(arguments, index, id, "weather")


STREAMS: dict[tuple[str, int], tuple[list[Any], list[str]]] = {
    # the parts of the calls, and the cities of the calls that they mean
    ("pydantic/pydantic-ai", 1654): ([begin(None)], ["Oslo"]),
    ("QwenLM/qwen-code", 6249): ([begin("")], ["Oslo"]),
    ("open-webui/open-webui", 27195): ([begin(None), call(None), call(PARIS)], ["Paris"]),
    ("llamastack/llama-stack", 5464): ([begin(None), call(PARIS[:5]), call(PARIS[5:])], ["Paris"]),
    ("BerriAI/litellm", 40069): ([begin(), call(""), call(PARIS), call("")], ["Paris"]),
    ("langchain-ai/langchain", 34807): (
        [begin(PARIS), begin(ROME, id="b")], ["Paris", "Rome"],
    ),
    ("langchain-ai/langchain", 38675): (
        [begin(PARIS[:5], id=None), call(PARIS[5:])], ["Paris"],
    ),
    ("agno-agi/agno", 3826): (
        [begin(PARIS[:5]), begin(ROME[:5], 1, "b"), call(PARIS[5:]), call(ROME[5:], 1)],
        ["Paris", "Rome"],
    ),
    ("spring-projects/spring-ai", 5974): (
        [begin(PARIS[:5]), call(PARIS[5:9], id="a"), call(PARIS[9:], id="a")], ["Paris"],
    ),
    ("vllm-project/vllm-ascend", 14501): ([{"content": None, **begin(PARIS)}], ["Paris"]),
}  # fmt: skip
BROKEN = ("ggml-org/llama.cpp", 25510), ("OpenHands/OpenHands", 13949)
SERVER = (("sigoden/aichat", 1296), ("ggml-org/llama.cpp", 10732), ("ggml-org/llama.cpp", 24097))


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaAgent]:
    """An agent of a real server, whose template knows tools and whose model writes at random."""
    facts = {"context_length": 2048, ".tokenizer.ggml.add_space_prefix": False}
    path = tiny.make("llama", tmp_path_factory.mktemp("tiny"), facts=facts)
    with (
        LlamaServer(path, chat_template_file=TEMPLATE, threads=1, parallel=1) as server,
        server.agent(max_tokens=200, seed=1) as agent,
    ):
        yield agent


@pytest.mark.parametrize("report", STREAMS, ids=str)
def test_the_parts_of_a_stream_are_the_calls_that_they_mean(report: tuple[str, int]) -> None:
    parts, cities = STREAMS[report]
    content = {"content": None} if "vllm" in report[0] else {}
    events = [event(delta(tool_calls=[part], **content)) for part in parts]
    first = streamed(*events, event(delta("tool_calls")), b"data: [DONE]\n\n")
    with (
        fault_server(first, chat("done"), native=True) as server,
        LlamaAgent(server.url, tools=[weather]) as agent,
    ):
        result = agent.run("Hi")
    assert [made.result for made in result.calls] == [f"22 in {city}" for city in cities]


@pytest.mark.parametrize("arguments", ["{", "", "null", '"{}"', "not JSON", None])
@pytest.mark.parametrize("id", ["call_1", None, ""])
def test_a_history_with_a_broken_call_does_not_stop_the_server(
    agent: LlamaAgent, arguments: Any, id: Any
) -> None:
    made = {"id": id, "type": "function", "function": {"name": "weather", "arguments": arguments}}
    history = [
        {"role": "user", "content": "Hi"}, {"role": "assistant", "tool_calls": [made]},
        {"role": "tool", "tool_call_id": id, "content": "22"},
    ]  # fmt: skip
    assert agent.run(history, [weather], max_tokens=4, max_steps=1).steps[0].mode == "native"


@pytest.mark.parametrize("form", ["schema", "json_schema", "field"])
def test_a_schema_holds_in_each_form(agent: LlamaAgent, form: str) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}
    schema["additionalProperties"] = False
    asked: dict[str, Any] = {
        "schema": {"response_format": {"type": "json_schema", "schema": schema}},
        "json_schema": {"response_format": {"type": "json_schema", "json_schema": {
            "name": "x", "schema": schema}}},
        "field": {"json_schema": schema},
    }[form]  # fmt: skip
    reply = agent.client.chat_completion(
        [{"role": "user", "content": "Hi"}], max_tokens=99, **asked
    )
    assert json.loads(reply["choices"][0]["message"]["content"]).keys() == {"a"}


def test_the_page_has_these_reports() -> None:
    page = Path(ROOT, "docs", "reports.md").read_text("utf-8").partition("## Agents")[2]
    named = re.findall(r"github\.com/(\S+)/issues/(\d+)\)", page)
    assert named == [(name, str(number)) for name, number in (*STREAMS, *BROKEN, *SERVER)]
