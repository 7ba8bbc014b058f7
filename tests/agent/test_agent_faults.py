"""The agent with a faulty server, or a faulty proxy between."""

from __future__ import annotations

import asyncio
import gzip
import json
import pickle
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest

from llama_cpp import (
    AsyncLlamaAgent,
    LlamaAgent,
    LlamaCancelled,
    LlamaClient,
    LlamaServerError,
    tool,
)
from llama_cpp.agent import Deny, Limits, Replace, RunContext, Wait
from llama_cpp.agent.events import PartialOutput, Retry, TextDelta, ToolCallDelta, ToolCallFinished
from llama_cpp.errors import (
    LlamaAnswerError,
    LlamaAuthenticationError,
    LlamaBadRequestError,
    LlamaContextOverflowError,
    LlamaLimitError,
    LlamaNotSupportedError,
    LlamaServerConnectionError,
    LlamaServerLoadingError,
    LlamaServerTemplateError,
    LlamaServerTimeoutError,
    LlamaServerUnavailableError,
    LlamaStreamError,
)
from llama_cpp.server import http as _http
from llama_cpp.server.http import Timeouts
from tests.support.faultserver import (
    CLOSE,
    END,
    HANG,
    LOADING,
    RESET,
    STREAM,
    Answer,
    FaultServer,
    called,
    chat,
    chat_events,
    delta,
    error,
    event,
    fault_server,
    part,
    reply,
    soon,
    streamed,
    whole,
)

pytestmark = pytest.mark.quick

KEY = "a-key-that-must-not-show"
QUICK = Timeouts(connect=2, first_byte=5, idle=5, loading=5)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The waits between two tries, a tenth as long."""
    monkeypatch.setattr(_http, "_FIRST_DELAY", 0.02)


@contextmanager
def talking(
    *answers: Answer, native: bool = False, **options: Any
) -> Iterator[tuple[FaultServer, LlamaAgent]]:
    """A server that gives ``answers``, and an agent of it."""
    with (
        fault_server(*answers, native=native) as server,
        LlamaAgent(server.url, **{"timeouts": QUICK, **options}) as agent,
    ):
        yield server, agent


# -- failures before an answer begins: the same whether it is to be streamed or not


@dataclass
class Case:
    """The server's steps, and the expected outcome."""

    answers: list[Answer | str]
    """``"ok"`` is a good answer."""
    error: type[LlamaServerError] | None
    """None where the good answer has to come."""
    requests: int
    """How often the server is asked."""
    match: str = "."
    options: dict[str, Any] = field(default_factory=dict)
    """Of the agent."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Of the error."""


FULL = error(500, "Context size has been exceeded.")
NO_FIT = error(500, "Input prompt is too big: it does not fit into the KV cache")
NO_MODEL = error(500, "model limit reached, try again later")
NO_SLOT = error(503, "no slot available", "unavailable_error")
OVERFLOW = error(
    400,
    "request (700 tokens) exceeds the available context size (512 tokens), try increasing it",
    "exceed_context_size_error",
    n_prompt_tokens=700,
    n_ctx=512,
)
NO_MATCH = error(
    500, "The model produced output that does not match the expected peg-native format"
)
GRAMMAR = error(400, "Failed to initialize samplers: failed to parse grammar", "invalid_request")
NO_JSON = "<html><body>nginx</body></html>"
UNAVAILABLE = LlamaServerUnavailableError
NATIVE = {"mode": "native"}

BEFORE: dict[str, Case] = {
    "loading": Case([LOADING, LOADING, "ok"], None, 3),
    "loading for ever": Case(
        [LOADING], LlamaServerLoadingError, 3, options={"timeouts": Timeouts(loading=0.08)}
    ),
    "loading, then a wrong key": Case(
        [LOADING, error(401, "Invalid API Key", "authentication_error")],
        LlamaAuthenticationError, 2, "api_key",
    ),
    "loading does not count as a failure": Case(
        [LOADING, LOADING, NO_SLOT, "ok"], None, 4, options={"retries": 1}
    ),
    "router cannot load": Case(
        [error(500, "model name=x failed to load")], LlamaServerError, 1, "failed to load"
    ),
    "wrong key": Case(
        [error(401, "Invalid API Key", "authentication_error")], LlamaAuthenticationError, 1
    ),
    "not allowed": Case([error(403, "no", "permission_error")], LlamaAuthenticationError, 1),
    "not found": Case([error(404, "File Not Found", "not_found")], LlamaNotSupportedError, 1),
    "not supported": Case([error(501, "no", "not_supported_error")], LlamaNotSupportedError, 1),
    "bad request": Case([error(400, "no", "invalid_request_error")], LlamaBadRequestError, 1, "no"),
    "prompt too long": Case(
        [OVERFLOW], LlamaContextOverflowError, 1, "700 tokens .* only 512",
        facts={"n_prompt_tokens": 700, "n_ctx": 512, "status": 400},
    ),
    "bad grammar": Case(
        [GRAMMAR], LlamaBadRequestError, 1, "Failed to initialize samplers", NATIVE
    ),
    "reply without its form": Case([NO_MATCH], LlamaServerTemplateError, 1, options=NATIVE),
    "template fails": Case(
        [error(500, "Jinja Exception: no")], LlamaServerTemplateError, 1, options=NATIVE
    ),
    "any other 500": Case([error(500, "[json.exception] no")], LlamaServerError, 1, "no"),
    "500 that says nothing": Case([reply(500, "")], LlamaServerError, 1, "it gave no reason"),
    "500 that breaks off": Case([[*reply(500, "boo", length=99), CLOSE]], LlamaServerError, 1),
    "cache full": Case([FULL, "ok"], None, 2),
    "cache full again": Case([FULL], LlamaServerError, 2, "exceeded"),
    "cache full, no retries": Case([FULL], LlamaServerError, 1, options={"retries": 0}),
    "no slot, then the cache full": Case([NO_SLOT, FULL, "ok"], None, 3),
    "cache full, no slot, cache full": Case([FULL, NO_SLOT, FULL], LlamaServerError, 3),
    "no room in the cache": Case([NO_FIT, "ok"], None, 2),
    "no room for a model": Case([NO_MODEL, "ok"], None, 2),
    "no slot": Case([NO_SLOT, "ok"], None, 2),
    "no slot for ever": Case([NO_SLOT], UNAVAILABLE, 4, "no slot available"),
    "too many requests": Case([reply(429, "slowly"), "ok"], None, 2),
    "proxy without a server": Case([reply(502, NO_JSON), "ok"], None, 2),
    "proxy without patience": Case([reply(504, NO_JSON)], UNAVAILABLE, 4, "nginx"),
    "503 that is no JSON": Case([reply(503, NO_JSON), "ok"], None, 2),
    "body too large": Case([reply(413, "Payload Too Large")], LlamaBadRequestError, 1, "Too Large"),
    "error that is a text": Case([reply(400, {"error": "no way"})], LlamaBadRequestError, 1, "way"),
    "error that is a list": Case([reply(400, [1])], LlamaBadRequestError, 1),
    "error with odd numbers": Case(
        [error(400, "x", "exceed_context_size_error", n_prompt_tokens="many", n_ctx=None)],
        LlamaContextOverflowError, 1,
    ),
    "redirect": Case(
        [reply(302, "", "Location: http://elsewhere/")], LlamaServerError, 1, "http://elsewhere/"
    ),
    "reset": Case([[RESET], "ok"], None, 2),
    "closed": Case([[CLOSE], "ok"], None, 2),
    "closed for ever": Case([[CLOSE]], LlamaServerConnectionError, 4, "Is llama-server running"),
    "half a status": Case([[b"HTTP/1.1 2", CLOSE], "ok"], None, 2),
    "half a head": Case([[b"HTTP/1.1 200 OK\r\nContent-", CLOSE]], LlamaServerError, 1),
    "no HTTP": Case([[b"SSH-2.0-OpenSSH\r\n\r\n", CLOSE]], LlamaServerConnectionError, 4),
    "slow head": Case(
        [[0.3, "ok"]], None, 1, options={"timeouts": Timeouts(connect=0.1, first_byte=5, idle=0.1)}
    ),  # type: ignore[list-item]
    "no head": Case(
        [[HANG]], LlamaServerTimeoutError, 1, "did not answer within 0.15 s",
        options={"timeouts": Timeouts(first_byte=0.15)},
    ),
    "a page in place of an answer": Case([reply(200, NO_JSON)], LlamaServerError, 1),
    "nothing in place of an answer": Case([reply(200, "")], LlamaServerError, 1),
    "an answer without choices": Case([reply(200, {"choices": []})], LlamaServerError, 1),
}  # fmt: skip


def chat_whole(agent: LlamaAgent) -> str:
    return str(agent.chat("Hi", [])["choices"][0]["message"]["content"])


def chat_streamed(agent: LlamaAgent) -> str:
    return str(agent.chat("Hi", [], stream=True)["choices"][0]["message"]["content"])


def run(agent: LlamaAgent) -> str:
    return agent.run("Hi").text


def run_async(agent: LlamaAgent) -> str:
    transport = agent.client._transport
    other = AsyncLlamaAgent(
        transport.base_url, timeouts=transport.timeouts, retries=transport.retries
    )

    async def main() -> str:
        async with other:
            return (await other.run("Hi")).text

    return asyncio.run(main())


def answers_of(case: Case, good: Answer) -> list[Answer]:
    """The answers, with ``good`` for each ``"ok"``."""
    made: list[Answer] = []
    for answer in case.answers:
        steps: list[Any] = []
        for step in [answer] if isinstance(answer, str) else answer:
            steps += good if step == "ok" else [step]
        made.append(steps)
    return made


@pytest.mark.parametrize("ask", [chat_whole, run])
@pytest.mark.parametrize("name", BEFORE)
def test_before_an_answer(name: str, ask: Callable[[LlamaAgent], str]) -> None:
    case = BEFORE[name]
    good = whole() if ask is chat_whole else chat()
    with talking(*answers_of(case, good), **case.options) as (server, agent):
        if case.error is None:
            assert ask(agent) == "Hello"
            assert [m["role"] for m in agent.messages] == ["user", "assistant"]
        else:
            with pytest.raises(case.error, match=case.match) as caught:
                ask(agent)
            if case.error in (LlamaServerError, LlamaBadRequestError):
                assert type(caught.value) in (case.error, LlamaStreamError)
            assert {name: getattr(caught.value, name) for name in case.facts} == case.facts
            assert agent.messages == []
        assert len(server.requests) == case.requests
        assert all(body == server.bodies[0] for body in server.bodies)


@pytest.mark.parametrize("name", ["cache full", "closed", "prompt too long", "no head"])
def test_the_same_with_asyncio(name: str) -> None:
    case = BEFORE[name]
    with talking(*answers_of(case, chat()), **case.options) as (server, agent):
        if case.error is None:
            assert run_async(agent) == "Hello"
        else:
            with pytest.raises(case.error, match=case.match):
                run_async(agent)
        assert len(server.requests) == case.requests


def test_the_waits_between_tries_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_http, "_FIRST_DELAY", 0.1)
    begun = time.monotonic()
    with talking(NO_SLOT) as (_, agent), pytest.raises(UNAVAILABLE):
        agent.run("Hi")
    assert time.monotonic() - begun >= 0.75 * (0.1 + 0.2 + 0.4)


def test_a_server_that_ends_while_it_loads_is_not_waited_for() -> None:
    def gone() -> None:
        raise LlamaServerConnectionError("llama-server has ended")

    with (
        talking(LOADING, alive=gone) as (_, agent),
        pytest.raises(LlamaServerConnectionError, match="has ended"),
    ):
        agent.run("Hi")


def test_loading_is_not_ready_and_says_nothing_of_the_key() -> None:
    with talking(LOADING, LOADING, reply(200, {"status": "ok"})) as (server, agent):
        assert agent.client.health() is False
        agent.client.wait(5)
        assert [r.path for r in server.requests] == ["/health"] * 3


def test_no_connection_within_the_time_for_one() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        waiting = []
        for _ in range(4):  # until the system takes no more
            other = socket.socket()
            other.setblocking(False)
            other.connect_ex(address)
            waiting.append(other)
        agent = LlamaAgent(
            f"http://127.0.0.1:{address[1]}", timeouts=Timeouts(connect=0.2), retries=3
        )
        begun = time.monotonic()
        with agent, pytest.raises(LlamaServerTimeoutError, match=r"within 0\.2 s") as caught:
            agent.run("Hi")
        assert caught.value.phase == "connect"
        assert time.monotonic() - begun < 5
        for other in waiting:
            other.close()


def test_an_answer_that_stops_in_its_middle_is_not_asked_for_again() -> None:
    half = [*reply(200, "{", length=99), HANG]
    with (
        talking(half, timeouts=Timeouts(idle=0.15)) as (server, agent),
        pytest.raises(LlamaServerTimeoutError) as caught,
    ):
        agent.chat("Hi")
    assert caught.value.phase == "idle"
    assert len(server.requests) == 1
    assert server.left.wait(5)


def test_an_answer_that_breaks_off_is_asked_for_again() -> None:
    half = [*reply(200, '{"cho', length=99), CLOSE]
    with talking(half, whole()) as (server, agent):
        assert chat_whole(agent) == "Hello"
        assert len(server.requests) == 2


# -- failures in the middle of a stream


def text_of(*parts: str) -> bytes:
    return b"".join(event(delta(content=text)) for text in parts)


STORY = "naïve \u2028 日本 🙂"
GOOD = chat_events(STORY)
ERROR = {"error": {"code": 500, "message": "Compute error.", "type": "server_error"}}
NO_FORM = {"error": {"code": 500, "message": "Output that does not match the expected format"}}
BEGUN = text_of("a", "b")


@dataclass
class Broken:
    """A stream, and its error message."""

    answer: Answer
    match: str
    partial: str | None = "ab"


STREAMS: dict[str, Broken] = {
    "reset": Broken([STREAM, part(BEGUN), 0.05, RESET], "broke in the middle"),
    "closed": Broken([STREAM, part(BEGUN), CLOSE], "broke in the middle"),
    "closed at once": Broken([STREAM, CLOSE], "broke in the middle", None),
    "closed inside an event": Broken(
        [STREAM, part(BEGUN + event(delta(content="c"))[:20]), CLOSE], "broke"
    ),
    "no [DONE]": Broken(streamed(BEGUN), r"without \[DONE\]"),
    "no event at all": Broken(streamed(), r"without \[DONE\]", None),
    "no [DONE], ends with the connection": Broken(
        [b"HTTP/1.1 200 OK\r\n\r\n", BEGUN, CLOSE], r"without \[DONE\]"
    ),
    "error": Broken(streamed(BEGUN, event(ERROR)), "Compute error"),
    "error as older servers say it": Broken(
        streamed(BEGUN, event(ERROR["error"], "error")), "Compute error"
    ),
    "error at once": Broken(streamed(event(ERROR)), "Compute error", None),
    "cache full": Broken(
        streamed(BEGUN, event({"error": {**ERROR["error"], "message": "Context size exceeded"}})),
        "Context size",
    ),
    "no JSON": Broken(streamed(BEGUN, event("{")), "not JSON"),
    "no object": Broken(streamed(BEGUN, event("[1]")), "not an object"),
    "no choices": Broken(streamed(BEGUN, event("{}")), "without choices"),
    "a choice that is none": Broken(streamed(BEGUN, event('{"choices": [7]}')), "broken chunk"),
    "text that is none": Broken(streamed(BEGUN, event(delta(content={"a": 1}))), "broken chunk"),
    "a call without a name": Broken(
        streamed(BEGUN, event(delta(tool_calls=[called("", "{}")]))), "a name"
    ),
    "calls out of order": Broken(
        streamed(BEGUN, event(delta(tool_calls=[called("f", "{}", 2)]))), "call 2"
    ),
    "a part that is none": Broken([STREAM, part(BEGUN), b"zz\r\n", CLOSE], "broke in the middle"),
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
def test_in_a_stream(name: str) -> None:
    case = STREAMS[name]
    with talking(case.answer) as (server, agent):
        came: list[str] = []
        texts = (e.text for e in agent.stream("Hi") if isinstance(e, TextDelta))
        with pytest.raises(LlamaStreamError, match=case.match) as caught:
            came.extend(texts)
        partial = caught.value.partial
        got = None if partial is None else partial["choices"][0]["message"]["content"]
        assert got == case.partial
        assert "".join(came) == (case.partial or "")
        assert agent.messages == []
        assert len(server.requests) == 1
        # And the agent can be used as before.
        server.answers = [chat()]
        assert run(agent) == "Hello"


def test_a_stream_that_says_nothing_more() -> None:
    with talking([STREAM, part(BEGUN), HANG], timeouts=Timeouts(idle=0.15)) as (server, agent):
        with pytest.raises(LlamaServerTimeoutError) as caught:
            agent.run("Hi")
        assert (caught.value.phase, caught.value.seconds) == ("idle", 0.15)
        assert len(server.requests) == 1
        assert server.left.wait(5)


def cut(data: bytes, *, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


PING = b": ping\n\n"
WELL: dict[str, Answer] = {
    "at once": streamed(GOOD),
    "byte by byte": streamed(*cut(GOOD, size=1)),
    "by threes, in letters and lines": streamed(*cut(GOOD, size=3)),
    "with CRLF": streamed(GOOD.replace(b"\n", b"\r\n")),
    "with pings": streamed(GOOD.replace(b"\n\n", b"\n\n" + PING)),
    "with what comes after [DONE]": streamed(GOOD, event("{")),
    "with a wire that stays silent after [DONE]": [STREAM, part(GOOD), HANG],
    "with a wire that breaks after [DONE]": [STREAM, part(GOOD), RESET],
    "without [DONE], after the finish": streamed(GOOD.partition(b"data: [DONE]")[0]),
    "with empty events and nulls": streamed(b"data:\n\ndata: null\n\nevent: x\n\n" + GOOD),
    "with errors that are null": streamed(
        GOOD.replace(b'{"choices"', b'{"error": null, "choices"')
    ),
    "in batches": streamed(
        event([json.loads(e) for e in GOOD.decode().replace("data: ", "").split("\n\n")[:-2]])
        + event("[DONE]")
    ),
    **{
        f"compressed, by {size}": [
            STREAM.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n"),
            *map(part, cut(gzip.compress(GOOD), size=size)),
            END,
        ]
        for size in (1, 50, 9999)
    },
    "with the connection as its end": [b"HTTP/1.1 200 OK\r\n\r\n", GOOD, CLOSE],
    "with a length": [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(GOOD), GOOD],
    "with signs of life": [STREAM, *[s for _ in range(8) for s in (part(PING), 0.1)], part(GOOD)],
}


@pytest.mark.parametrize("name", WELL)
def test_what_is_no_failure(name: str) -> None:
    limits = Timeouts(idle=0.4)
    with talking(WELL[name], timeouts=limits) as (server, agent):
        texts = [e.text for e in agent.stream("Hi") if isinstance(e, TextDelta)]
        assert "".join(texts) == STORY
        assert agent.messages[-1]["content"] == STORY
        assert len(server.requests) == 1


def numbered(*numbers: int | None, ids: bool = True) -> list[Any]:
    """Two calls in three parts with these numbers."""
    parts: list[Any] = [
        called("f", '{"n": '),
        {"function": {"arguments": "1}"}},
        called("f", '{"n": 2}'),
    ]
    parts[2]["id"] = "c9"
    for made, number in zip(parts, numbers, strict=True):
        made["index"] = number
        if number is None:
            del made["index"]
        if not ids:
            made.pop("id", None)
    return parts


@pytest.mark.parametrize(
    "parts",
    [
        numbered(0, 0, 1), numbered(None, None, None), numbered(0, 0, 0), numbered(0, None, 1),
        numbered(None, None, None, ids=False), numbered(0, 0, 1, ids=False),
    ],
)  # fmt: skip
def test_calls_are_told_apart_however_they_are_numbered(parts: list[Any]) -> None:
    with talking(chat("", "tool_calls", parts), chat("done"), native=True) as (_, agent):
        events = list(agent.stream("Hi", [tool(lambda n: n, name="f")]))
        made = [e.call.result for e in events if isinstance(e, ToolCallFinished)]
        assert sorted(made) == [1, 2]
        pieces = ["", ""]
        for delta in (e for e in events if isinstance(e, ToolCallDelta)):
            pieces[delta.index] += delta.arguments
        assert pieces == ['{"n": 1}', '{"n": 2}']


@pytest.mark.parametrize("wait", ["0.3", "a date", "soon", "3600"])
def test_the_server_says_when_to_ask_again(wait: str, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(_http.Stop, "sleep", lambda self, seconds: waits.append(seconds))
    said = formatdate(time.time() + 30, usegmt=True) if wait == "a date" else wait
    busy = reply(429, {"error": {"message": "busy"}}, f"Retry-After: {said}")
    with talking(busy, chat()) as (_, agent):
        if wait == "3600":
            with pytest.raises(LlamaServerUnavailableError) as caught:
                run(agent)
            assert caught.value.retry_after == 3600
        else:
            assert run(agent) == "Hello"
            low, high = {"0.3": (0.3, 0.3), "soon": (0, 0.03)}.get(wait, (15, 30))
            assert low <= waits[0] <= high


# -- answers that are kept by the server


def test_a_kept_answer_is_taken_up_where_it_broke() -> None:
    first, second, third = GOOD[:70], GOOD[70:101], GOOD[101:]
    with (
        fault_server(
            [STREAM, part(first), 0.05, RESET], [STREAM, part(second), CLOSE], streamed(third)
        ) as server,
        LlamaClient(server.url) as client,
    ):
        with client.chat_stream([], conversation="mine") as stream:
            list(stream)
        assert stream.response["choices"][0]["message"]["content"] == STORY
        assert server.requests[0].headers["x-conversation-id"] == "mine"
        assert [r.path for r in server.requests[1:]] == [
            "/v1/stream?conv_id=mine&from=70",
            "/v1/stream?conv_id=mine&from=101",
        ]


def test_a_kept_answer_that_the_server_lost() -> None:
    with (
        fault_server(
            [STREAM, part(BEGUN), CLOSE], error(404, "no such stream", "not_found_error")
        ) as server,
        LlamaClient(server.url) as client,
        pytest.raises(LlamaStreamError, match="broke in the middle") as caught,
    ):
        list(client.chat_stream([], conversation="mine"))
    assert caught.value.partial is not None


def test_a_kept_answer_is_taken_up_only_so_often() -> None:
    with (
        fault_server([STREAM, part(event(delta(content="a"))), CLOSE]) as server,
        LlamaClient(server.url, retries=2) as client,
        pytest.raises(LlamaStreamError),
    ):
        list(client.chat_stream([], conversation="mine"))
    assert [r.method for r in server.requests] == ["POST", "GET", "GET", "DELETE"]


def test_giving_up_a_kept_answer_does_not_wait_for_the_server() -> None:
    with (
        fault_server([STREAM, part(BEGUN), HANG], [HANG]) as server,
        LlamaClient(server.url, timeouts=Timeouts(connect=0.2)) as client,
    ):
        stream = client.chat_stream([], conversation="mine")
        next(iter(stream))
        begun = time.monotonic()
        stream.close()
        assert time.monotonic() - begun < 3
        assert server.requests[-1].method == "DELETE"
        assert server.left.wait(5)


# -- connections that are kept


def test_a_connection_is_used_again() -> None:
    with talking(whole()) as (server, agent):
        for _ in range(4):
            chat_whole(agent)
        assert {r.connection for r in server.requests} == {0}


@pytest.mark.parametrize("retries", [3, 0])
def test_a_connection_that_was_kept_too_long_is_replaced(retries: int) -> None:
    with talking(whole(), [RESET], whole(), [CLOSE], whole(), retries=retries) as (server, agent):
        assert [chat_whole(agent) for _ in range(3)] == ["Hello"] * 3
        assert [r.connection for r in server.requests] == [0, 0, 1, 1, 2]


def test_a_connection_that_the_server_has_closed_is_not_used() -> None:
    with talking([*whole(), CLOSE], retries=0) as (server, agent):
        for _ in range(3):
            chat_whole(agent)
            time.sleep(0.05)
        assert [r.connection for r in server.requests] == [0, 1, 2]


# -- cancelling


@pytest.mark.parametrize(
    "answer",
    [[HANG], [STREAM, HANG], [STREAM, part(BEGUN), HANG]],
    ids=["no slot is free", "nothing came", "in the middle"],
)
@pytest.mark.parametrize("ask", [run, chat_streamed, chat_whole])
def test_cancelling_leaves_the_server_at_once(answer: Answer, ask: Callable[..., str]) -> None:
    with talking(answer) as (server, agent):

        def cancel() -> None:
            assert soon(lambda: server.requests)
            time.sleep(0.1)
            agent.cancel()

        thread = threading.Thread(target=cancel)
        thread.start()
        begun = time.monotonic()
        with pytest.raises(LlamaCancelled):
            ask(agent)
        assert time.monotonic() - begun < 5
        thread.join()
        assert server.left.wait(5)
        assert len(server.requests) == 1
        assert agent.messages == []


@pytest.mark.parametrize("answer", [LOADING, NO_SLOT])
def test_cancelling_ends_the_wait_for_another_try(
    answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_http, "_FIRST_DELAY", 30.0)
    with talking(answer, timeouts=Timeouts()) as (server, agent):
        timer = threading.Timer(0.3, agent.cancel)
        timer.start()
        begun = time.monotonic()
        with pytest.raises(LlamaCancelled):
            agent.run("Hi")
        assert time.monotonic() - begun < 5
        assert len(server.requests) == 1


def test_cancelling_a_task_that_waits_for_a_slot() -> None:
    async def main() -> None:
        async with AsyncLlamaAgent(server.url) as agent:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(agent.run("Hi"), 0.3)

    with fault_server([HANG]) as server:
        begun = time.monotonic()
        asyncio.run(main())
        assert time.monotonic() - begun < 4
        assert server.left.wait(5)


# -- keys


@pytest.mark.parametrize(
    "answer",
    [
        error(400, f"bad key {KEY}"),
        error(401, f"bad key {KEY}", "authentication_error"),
        reply(500, f"Authorization: Bearer {KEY}"),
        reply(200, f"Authorization: Bearer {KEY}"),
        reply(302, "", f"Location: http://x/?key={KEY}"),
        streamed(event({"error": {"code": 500, "message": f"bad key {KEY}"}})),
        streamed(event(f"bad key {KEY}")),
        streamed(event({"key": KEY})),
        streamed(event({"choices": [{"delta": {"content": 3}, "key": KEY}]})),
    ],
)
@pytest.mark.parametrize("ask", [chat_whole, run])
def test_a_key_that_the_server_repeats_is_not_shown(
    answer: Answer, ask: Callable[..., str]
) -> None:
    with talking(answer, api_key=KEY) as (server, agent):
        with pytest.raises(LlamaServerError) as caught:
            ask(agent)
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
        assert KEY not in str(caught.value)


def test_text_that_looks_like_the_key_stays() -> None:
    tests = called("run_tests", '{"test": "test"}')
    answers = streamed(chat_events("a test", "tool_calls", [tests])), chat("a test")
    with talking(*answers, native=True, api_key="test") as (_, agent):
        result = agent.run("test", [tool(lambda test: test, name="run_tests")])
        assert [(c.name, c.arguments, c.result) for c in result.calls] == [
            ("run_tests", {"test": "test"}, "test")
        ]
        assert result.text == "a test"


# -- tools


def get_weather(city: Literal["Paris", "Oslo"]) -> str:
    """Get the weather."""
    return f"22 degrees in {city}"


with_weather = partial(talking, native=True, tools=[get_weather])
CALL = called("get_weather", '{"city": "Paris"}')


def test_a_template_without_tools_is_not_given_any() -> None:
    wanted = '{"tool": "get_weather", "arguments": {"city": "Oslo"}}'
    with talking(chat(wanted), chat('{"answer": "22"}'), tools=[get_weather]) as (server, agent):
        result = agent.run("Hi")
        assert (result.text, result.mode) == ("22", "constrained")
        assert [c.result for c in result.calls] == ["22 degrees in Oslo"]
        for body in server.bodies:
            assert "tools" not in body
            # The server would read a schema that lies any flatter as "any object".
            schema = body["response_format"]["json_schema"]["schema"]
            assert "get_weather" in json.dumps(schema)
        told = server.bodies[1]["messages"][-1]
        assert told["role"] == "user"
        assert "22 degrees in Oslo" in told["content"]


@pytest.mark.parametrize("choice", ["required", "get_weather"])
def test_a_call_that_has_to_be_made_is_forced(choice: str) -> None:
    wanted = '{"tool": "get_weather", "arguments": {"city": "Oslo"}}'
    with with_weather(chat(wanted), chat("fine")) as (server, agent):
        assert agent.run("Hi", tool_choice=choice).calls[0].arguments == {"city": "Oslo"}
        assert "response_format" in server.bodies[0]
        assert "answer" not in server.bodies[0]["response_format"]["json_schema"]["schema"]
        assert "tools" in server.bodies[1]  # the results are there: now it may answer


def test_prose_in_place_of_a_call_is_said() -> None:
    with with_weather(chat("Once upon a time"), mode="native") as (server, agent):
        with pytest.raises(LlamaAnswerError, match="must call a tool") as caught:
            agent.run("Hi", tool_choice="required")
        assert caught.value.text == "Once upon a time"
        assert len(server.requests) == 1


NO_PARSER = "Unable to generate parser for this template. While executing If at line 3"


@pytest.mark.parametrize(
    "failure",
    [
        NO_MATCH, streamed(BEGUN, event(NO_FORM)), error(400, NO_PARSER), error(400, "Jinja no"),
        error(500, "got exception: Unexpected empty grammar stack after accepting piece"),
        error(500, "\n---\nWhile executing If at line 12, column 13 in source:\n..."),
    ],
)  # fmt: skip
def test_a_reply_that_the_server_cannot_read_is_asked_for_in_another_form(failure: Answer) -> None:
    with with_weather(failure, chat('{"answer": "22"}')) as (server, agent):
        events = list(agent.stream("Hi"))
        assert sum(isinstance(e, Retry) for e in events) == 1
        assert agent.messages[-1]["content"] == "22"
        assert ["tools" in body for body in server.bodies] == [True, False]
    with (
        with_weather(failure, mode="native") as (server, agent),
        pytest.raises(LlamaServerError),
    ):
        agent.run("Hi")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "arguments",
    ['{"city": ', "[]", "", '{"city": "Rome"}', '{"town": "Oslo"}', '{"city": 1e999}', "[" * 9999],
)
def test_broken_arguments_are_told_and_not_kept(arguments: str) -> None:
    first = chat("", "tool_calls", [called("get_weather", arguments)])
    with with_weather(first, chat("sorry")) as (server, agent):
        result = agent.run("Hi")
        assert result.calls[0].error is not None
        call, told = server.bodies[1]["messages"][-2:]
        kept = call["tool_calls"][0]["function"]["arguments"]
        assert isinstance(json.loads(kept), dict)
        assert told["role"] == "tool"
        assert told["tool_call_id"] == call["tool_calls"][0]["id"]
        assert told["content"].startswith("Error: ")


def test_no_history_is_poisoned(tmp_path: Path) -> None:
    strange = "caf\udce9.txt"  # a file's name in Latin-1, as os.listdir gives it

    def names(city: str) -> list[Any]:
        return [strange, float("nan"), city]

    given: Any = called("names", '{"city": "\\ud83d"}')
    with talking(chat("", "tool_calls", [given]), chat(), native=True) as (server, agent):
        for function in (names, lambda: strange):
            agent.run(strange, [tool(function, name="names")])
        agent.messages.append(
            {"role": "assistant", "tool_calls": [called("names", '{"city": Infinity}')]}
        )
        agent.save(tmp_path / "talk.json")
        agent.load(tmp_path / "talk.json")
        agent.run("again")
        sent = json.dumps(server.bodies)
        assert "Infinity" not in sent
        assert "\\ud" not in sent
        assert "caf\\ufffd.txt" in sent
        agent.messages[0]["content"] = float("nan")
        with pytest.raises(ValueError, match="NaN or Infinity, which JSON cannot"):
            agent.run("and again")


def test_a_call_that_was_cut_off_is_not_made() -> None:
    made = []

    def note(text: str) -> None:
        """Note it."""
        made.append(text)

    cut_off = called("note", '{"text": "a"}')
    with talking(chat("", "length", [cut_off]), native=True, tools=[note]) as (server, agent):
        result = agent.run("Hi")
        assert (result.reason, result.calls, made) == ("length", [], [])
        assert len(server.requests) == 1
        assert "tool_calls" not in agent.messages[-1]
        server.answers = [chat('{"tool": "note", "arguments": {"text": "a', "length")]
        agent.settings.mode = "constrained"
        result = agent.run("Hi")
        assert (result.reason, result.calls, made) == ("length", [], [])


def test_an_answer_that_fills_the_context_ends_the_run() -> None:
    with talking(chat("and so on", "length")) as (server, agent):
        result = agent.run("Hi")
        assert (result.reason, result.text) == ("length", "and so on")
        assert len(server.requests) == 1


def said(text: str) -> Any:
    return chat(json.dumps({"answer": text}))


@pytest.mark.parametrize("stop", ["END", ["x", "END"], ["D"], "no", [" of"]])
def test_stops_end_the_answer_of_a_constrained_reply(stop: Any) -> None:
    text, stops = "the START of EN and END of it", [stop] if isinstance(stop, str) else stop
    with talking(said(text), tools=[get_weather]) as (server, agent):
        events = list(agent.stream("Hi", stop=stop))
        wanted = min((text.partition(one)[0] for one in stops), key=len)
        assert "".join(e.text for e in events if isinstance(e, TextDelta)) == wanted
        assert agent.messages[-1]["content"] == wanted
        assert "stop" not in server.bodies[0]


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.mark.parametrize(
    "fields",
    [
        {"json_schema": SCHEMA},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}},
        {"response_format": {"type": "json_schema", "schema": SCHEMA}},
    ],
)
@pytest.mark.parametrize("mode", ["native", "constrained"])
def test_a_schema_of_the_request_is_that_of_the_answer(mode: Any, fields: Any) -> None:
    answers = (
        [chat('{"answer": {"n": 1}}')] if mode == "constrained" else [chat("1?"), chat('{"n": 1}')]
    )
    with talking(*answers, native=True, mode=mode, tools=[get_weather]) as (server, agent):
        result = agent.run("Hi", **fields)
        assert (result.output, json.loads(result.text)) == ({"n": 1}, {"n": 1})
        sent = json.dumps(server.bodies[-1]["response_format"])
        assert '"n": {"type": "integer"}' in sent


@pytest.mark.parametrize("states", [["busy", "busy", "done"], ["busy", "done"]])
def test_the_same_call_may_be_made_again_on_purpose(states: list[str]) -> None:
    left = list(states)

    def status() -> str:
        """The state."""
        return left.pop(0) if left else states[-1]

    call = chat('{"tool": "status", "arguments": {}}')
    with talking(*[call] * len(states), said("done"), tools=[status]) as (server, agent):
        result = agent.run("Hi")
        assert result.text == "done"
        assert [c.result for c in result.calls] == states[: len(result.calls)]
        assert len(result.calls) >= 2
    # A model that goes in a circle must answer.
    with talking(call, call, said("well"), tools=[tool(lambda: "x", name="status")]) as (
        server, agent,
    ):  # fmt: skip
        assert agent.run("Hi").text == "well"
        assert "tool" not in json.dumps(server.bodies[2]["response_format"])
    other = chat('{"tool": "other", "arguments": {}}')
    tools = [tool(lambda: "x", name=name) for name in ("status", "other")]
    with talking(call, other, call, other, call, said("well"), tools=tools) as (_, agent):
        assert len(agent.run("Hi").calls) == 5


def test_a_history_that_the_template_refuses_is_sent_as_text() -> None:
    for output_type in (None, int):
        refused = error(400, NO_PARSER)
        with talking(refused, chat("7"), native=True) as (server, agent):
            history = [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "tool_calls": [CALL]},
            ]
            history.append({"role": "tool", "tool_call_id": "c0", "content": "22"})
            assert agent.run(history, output_type=output_type).text == "7"
            first, second = server.bodies
            assert first["messages"][-1]["role"] == "tool"
            assert second["messages"][-1] == {
                "role": "user",
                "content": "Result of get_weather: 22",
            }


def test_the_server_gets_no_repetition_that_it_refuses() -> None:
    text = {"type": "string", "minLength": 3000, "maxLength": 100_000}
    schema = {"type": "object", "properties": {"text": text}, "required": ["text"]}
    tool = {"type": "function", "function": {"name": "note", "parameters": schema}}
    for native in (True, False):
        with talking(chat('{"answer": ""}'), native=native, tools=[tool]) as (server, agent):
            agent.run("Hi")
            body = server.bodies[0]
            sent = json.dumps(body.get("tools") or body["response_format"])
            assert '"note"' in sent
            assert "3000" not in sent
            assert "100000" not in sent


def test_calls_without_an_id_get_one() -> None:
    calls: Sequence[Any] = [{**CALL, "id": ""}, {**called("get_weather", "{}", 1), "id": None}]
    with with_weather(chat("", "tool_calls", calls), chat("done")) as (server, agent):
        agent.run("Hi")
        _, call, *told = server.bodies[1]["messages"]
        ids = [c["id"] for c in call["tool_calls"]]
        assert len(set(ids)) == 2
        assert all(re.fullmatch("[A-Za-z0-9]{9}", one) for one in ids)  # as the strictest want
        assert [m["tool_call_id"] for m in told] == ids


def test_a_failure_after_a_call_leaves_the_conversation_as_it_was() -> None:
    with with_weather(chat("", "tool_calls", [CALL]), error(400, "no")) as (server, agent):
        with pytest.raises(LlamaBadRequestError):
            agent.run("Hi")
        assert agent.messages == []
        assert len(server.requests) == 2


DENIED = "Error: not now"


@tool(approval=True)
def delete(path: str) -> str:
    """Delete it."""
    return f"deleted {path}"


DELETE = called("delete", '{"path": "/x"}', 1)


@pytest.mark.parametrize(
    ("decision", "text"),
    [(True, "deleted /x"), (Deny("not now"), DENIED), (Replace({"n": 1}), '{"n": 1}')],
)
def test_a_run_waits_for_an_approval_and_goes_on_in_another_process(
    decision: Any, text: str, tmp_path: Path
) -> None:
    file, tools = tmp_path / "talk.json", [get_weather, delete]
    calls = [CALL, DELETE, called("get_weather", '{"city": "Oslo"}', 2)]
    with talking(chat("", "tool_calls", calls), native=True, tools=tools) as (_, agent):
        result = agent.run("Hi")
        assert (result.reason, result.text) == ("approval", "")
        assert [c.pending for c in result.calls] == [False, True, True]
        assert result.pending == result.calls[1:]
        agent.save(file)
    with talking(chat("done"), native=True, tools=tools) as (server, agent):
        agent.load(file)
        assert [(c.id, c.arguments) for c in agent.pending] == [
            ("c1", {"path": "/x"}), ("c2", {"city": "Oslo"}),
        ]  # fmt: skip
        assert agent.resume({}).reason == "approval"
        assert agent.resume({"c1": decision}).text == "done"
        told = server.bodies[-1]["messages"][2:]
        assert [(m["tool_call_id"], m["content"]) for m in told] == [
            ("c0", "22 degrees in Paris"), ("c1", text), ("c2", "22 degrees in Oslo"),
        ]  # fmt: skip
        agent.load(file)
        with pytest.raises(TypeError, match="the decision on c1 must be None, Deny"):
            agent.resume({"c1": False})  # type: ignore[dict-item]
        assert agent.pending

        async def later() -> Any:
            async with AsyncLlamaAgent(server.url, tools=tools) as other:
                return await other.resume({"c1": decision}, messages=agent.messages)

        assert asyncio.run(later()).text == "done"


def test_a_decision_is_on_one_call_where_a_server_gives_equal_ids() -> None:
    calls = [{**called("delete", '{"path": "/x"}', i), "id": "c"} for i in range(2)]
    with talking(chat("", "tool_calls", calls), native=True, tools=[delete]) as (_, agent):
        first, second = agent.run("Hi").pending
        assert agent.resume({first.id: True}).reason == "approval"
        assert [call.id for call in agent.pending] == [second.id]


def test_a_hook_makes_a_call_wait_and_the_caller_brings_results() -> None:
    hook: Any = lambda call: Wait()  # noqa: E731
    definition = {"name": "get_weather"}
    for options in ({"before_call": hook, "tools": [get_weather]}, {"tools": [definition]}):
        answers = chat("", "tool_calls", [CALL]), chat("done")
        with talking(*answers, native=True, **options) as (server, agent):
            assert agent.run("Hi").pending[0].id == "c0"
            assert agent.resume({"c0": Replace("rain")}).text == "done"
            assert server.bodies[-1]["messages"][-1]["content"] == "rain"


@pytest.mark.parametrize(
    ("limits", "limit", "requests"),
    [
        (Limits(tokens=25), "tokens", 3), (Limits(tokens=20), "tokens", 2),
        (Limits(calls=2), "calls", 3), (Limits(calls=0), "calls", 1),
    ],
)  # fmt: skip
def test_a_run_has_limits(limits: Limits, limit: str, requests: int) -> None:
    with with_weather(chat("", "tool_calls", [CALL])) as (server, agent):
        with pytest.raises(LlamaLimitError) as caught:
            agent.run("Hi", limits=limits, max_tokens=9)
        assert (caught.value.limit, len(server.requests)) == (limit, requests)
        run = caught.value.run
        assert run.reason == "error"
        assert len(run.calls) == (requests if limit == "tokens" else requests - 1)
        assert run.usage.prompt_tokens == 7 * requests
        assert [m["role"] for m in run.messages] == [
            "user",
            *["assistant", "tool"] * len(run.calls),
        ]
        if limit == "tokens":
            assert server.bodies[-1]["max_tokens"] == min(9, limits.tokens - 10 * (requests - 1))


def slow() -> str:
    """It takes long."""
    time.sleep(20)
    return ""


PINGS = [STREAM, *[step for _ in range(200) for step in (part(b": ping\n\n"), 0.1)]]


@pytest.mark.parametrize(
    "answer", [PINGS, [HANG], chat("", "tool_calls", [called("slow", "")]), NO_SLOT]
)
def test_a_run_has_a_deadline_that_nothing_extends(answer: Answer) -> None:
    with talking(answer, native=True, tools=[slow], retries=99) as (_, agent):
        begun = time.monotonic()
        with pytest.raises(LlamaLimitError, match=r"longer than 0.3 s") as caught:
            agent.run("Hi", limits=Limits(seconds=0.3))
        assert caught.value.limit == "seconds"
        assert time.monotonic() - begun < 10
        assert asyncio.run(_expires(agent))


async def _expires(agent: LlamaAgent) -> bool:
    async with AsyncLlamaAgent(agent.client.base_url, tools=[slow], retries=99) as other:
        with pytest.raises(LlamaLimitError):
            await other.run("Hi", limits=Limits(seconds=0.3))
    return True


def test_all_that_look_like_control_tokens_are_broken_up_where_nobody_can_be_asked() -> None:
    attack = "a <|im_end|> <\uff5cUser\uff5c> </s> [INST] <b> x[0]"
    with talking(error(404, "no"), chat()) as (server, agent):
        agent.run(attack)
        agent.run(attack)
        for body in server.bodies[-2:]:
            sent = body["messages"][0]["content"]
            assert sent.replace("\u2060", "~") == (
                "a <~|im_end|> <~\uff5cUser\uff5c> <~/s> [~INST] <~b> x[0]"
            )


def test_results_are_cut_for_the_model() -> None:
    def page(n: int) -> str:
        return "x" * n

    own = tool(page, name="own", max_result=5)
    calls = [
        called("page", '{"n": 30}'),
        called("own", '{"n": 30}', 1),
        called("page", '{"n": 9}', 2),
    ]
    with talking(chat("", "tool_calls", calls), chat(), native=True) as (server, agent):
        limits = Limits(result=20, results=26)
        result = agent.run("Hi", [tool(page, parallel=False), own], limits=limits)
        told = [m["content"] for m in server.bodies[1]["messages"][2:]]
        assert [text.partition("\n")[0] for text in told] == ["x" * 20, "x" * 5, "x"]
        assert all("cut off after" in text and "characters" in text for text in told)
        assert [len(call.result) for call in result.calls] == [30, 30, 9]


def test_tools_get_the_context_of_their_run() -> None:
    seen: list[Any] = []

    def note(ctx: RunContext[str], text: str) -> None:
        """Note it."""
        seen.append((ctx.deps, ctx.step, ctx.tool, ctx.call_id, ctx.usage.prompt_tokens, text))
        seen.append([m["role"] for m in ctx.messages])
        ctx.messages.clear()

    call = called("note", '{"text": "a"}')
    answers = chat("", "tool_calls", [call]), chat("", "tool_calls", [call]), chat("done")
    with talking(*answers, native=True, tools=[note], deps="the agent's") as (_, agent):
        assert agent.run("Hi").text == "done"
        agent.run("Hi", [note], deps="mine")
    roles = ["user", "assistant"]
    assert seen[:4] == [
        ("the agent's", 1, "note", "c0", 7, "a"), roles,
        ("the agent's", 2, "note", "c0", 14, "a"), [*roles, "tool", "assistant"],
    ]  # fmt: skip


def test_an_error_in_a_later_step_has_what_was_done_and_the_run_can_go_on() -> None:
    answers = chat("", "tool_calls", [CALL]), error(400, "no"), chat("22")
    with with_weather(*answers) as (server, agent):
        with pytest.raises(LlamaBadRequestError) as caught:
            agent.run("Hi")
        run = pickle.loads(pickle.dumps(caught.value)).run
        assert [(c.name, c.result) for c in run.calls] == [("get_weather", "22 degrees in Paris")]
        assert agent.messages == []
        agent.messages += run.messages
        assert agent.resume().text == "22"
        assert [m["role"] for m in agent.messages] == ["user", "assistant", "tool", "assistant"]
        assert len(server.requests) == 3


def test_a_typed_answer_that_is_cut_off_is_asked_for_again_and_then_an_error() -> None:
    with talking(chat("[1, 2", "length"), chat("[1]")) as (server, agent):
        assert agent.run("Hi", output_type=list[int]).output == [1]
        assert len(server.requests) == 2
    with talking(chat("[1, 2", "length")) as (server, agent):
        with pytest.raises(LlamaAnswerError, match="was cut off") as caught:
            agent.run("Hi", output_type=list[int])
        assert (caught.value.text, len(server.requests)) == ("[1, 2", 3)


@pytest.mark.parametrize("mode", ["plain", "constrained"])
def test_a_typed_answer_is_given_while_it_is_generated(mode: str) -> None:
    text = '{"a": [1, 22], "b": "xyz"}'
    tools: Any = [get_weather] if mode == "constrained" else []
    with talking(chat(text if not tools else f'{{"answer": {text}}}'), tools=tools) as (_, agent):
        events = list(agent.stream("Hi", output_type=dict[str, Any]))
        values = [e.value for e in events if isinstance(e, PartialOutput)]
        assert {"a": [1]} in values
        assert {"a": [1, 22], "b": "x"} in values or {"a": [1, 22], "b": "xy"} in values
        assert values[-1] == {"a": [1, 22], "b": "xyz"}


def test_fields_and_headers_of_ones_own_and_a_model_for_a_request() -> None:
    with talking(chat(), model="m", headers={"X-Team": "a"}, extra_body={"p": 1}) as (
        server,
        agent,
    ):
        agent.run("Hi")
        agent.run("Hi", model="n", extra_body={"q": [2]})
        first, second = server.requests
        assert (first.body["model"], first.body["p"]) == ("m", 1)
        assert (second.body["model"], second.body["q"]) == ("n", [2])
        assert first.headers["x-team"] == "a"
    for wrong in ({"a": "b\r\nX: y"}, {"a": 5}, {"": "x\x00"}):
        with pytest.raises(ValueError, match="printable ASCII"):
            LlamaClient(headers=wrong)  # type: ignore[arg-type]


def test_a_run_without_an_answer_says_so() -> None:
    with with_weather(chat("", "tool_calls", [CALL])) as (_, agent):
        assert (
            agent.run("Hi", max_steps=2).text == "There is no answer after 2 replies (max_steps)."
        )


def test_threads_share_an_agent_over_a_server_that_fails() -> None:
    def ask(_: int) -> str:
        return agent.run([{"role": "user", "content": "Hi"}]).text

    answers = [[RESET], NO_SLOT, chat(), [CLOSE], FULL, chat()]
    with talking(*answers, retries=6) as (_, agent), ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(8))) == ["Hello"] * 8
