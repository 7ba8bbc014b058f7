"""The client of llama-server: every endpoint, streams, errors, patience."""

from __future__ import annotations

import logging
import socket
import threading
import time
import wave
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from llama_cpp import LlamaLibrary, LlamaServer
from llama_cpp.errors import (
    LlamaAuthenticationError,
    LlamaBadRequestError,
    LlamaCancelled,
    LlamaNotSupportedError,
    LlamaServerConnectionError,
    LlamaServerError,
    LlamaStreamError,
)
from llama_cpp.server.client import LlamaClient, image
from llama_cpp.server.process import reserve
from llama_cpp.server.stream import ChatAssembler, Event, EventParser
from tests.support import tiny, tiny_mmproj
from tests.support.faultserver import (
    LOADING,
    called,
    delta,
    event,
    fault_server,
    reply,
    soon,
    streamed,
)
from tests.support.llamaserver import KEY, Running, is_idle, running

HELLO = [{"role": "user", "content": "Say hello."}]


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[LlamaClient]:
    with LlamaClient(server.url, api_key=KEY) as client:
        client.wait(60)
        yield client


# -- events


EVENTS = [
    Event("message", "naïve \u2028 日本 🙂"),
    Event("error", "a\nb"),
    Event("message", "[DONE]"),
]
TEXT = (
    ": ping\n\n:\n\ndata: naïve \u2028 日本 🙂\n\nid: 7\nevent: error\r\ndata: a\r\ndata:b\r\n\r\n"
    "retry: 5\n\ndata: [DONE]\n\n"
).encode()


@given(st.lists(st.integers(0, len(TEXT)), max_size=12))
def test_events_come_whole_however_the_bytes_are_cut(cuts: list[int]) -> None:
    parser = EventParser()
    events, edges = [], [0, *sorted(cuts), len(TEXT)]
    for start, end in pairwise(edges):
        events += parser.feed(TEXT[start:end])
    assert events == EVENTS
    assert parser.finish() == []


def test_an_event_is_given_with_its_last_byte() -> None:
    parser = EventParser()
    assert [parser.feed(bytes([b])) for b in b"data: x\n"] == [[]] * 8
    assert parser.feed(b"\n") == [Event("message", "x")]


def test_an_event_that_lacks_its_last_line_end_is_given_at_the_end() -> None:
    parser = EventParser()
    assert parser.feed(b"data: x") == []
    assert parser.finish() == [Event("message", "x")]


# -- endpoints of the real server


def test_every_endpoint_answers(client: LlamaClient, tmp_path: Path) -> None:
    assert client.health()
    tokens = client.tokenize("Hello world")
    assert client.detokenize(tokens) == "Hello world"
    assert client.tokenize("Hello world", add_special=True)[-len(tokens) :] == tokens
    prompt = client.apply_template(HELLO)
    assert "Say hello." in prompt
    assert client.count_tokens(HELLO) == len(client.tokenize(prompt))
    assert client.props()["chat_template_caps"]["supports_tools"] is False
    assert len(client.slots()) == 2
    assert client.models()[0]["id"]
    assert client.lora_adapters() == []
    client.set_lora_scales({})
    assert client.metrics()["llamacpp:prompt_tokens_total"] >= 0


def test_a_completion_streamed_and_whole_are_the_same(client: LlamaClient) -> None:
    options: Any = {"max_tokens": 8, "temperature": 0, "cache_prompt": False}
    whole = client.complete("One, two, three,", **options)
    parts = list(client.complete_stream("One, two, three,", **options))
    assert "".join(part["content"] for part in parts) == whole["content"] != ""
    assert len(parts) > 2
    assert parts[-1]["stop"]


def test_a_chat_streamed_and_whole_are_the_same(client: LlamaClient) -> None:
    options: Any = {"max_tokens": 12, "temperature": 0, "cache_prompt": False}
    whole = client.chat_completion(HELLO, **options)
    with client.chat_stream(HELLO, **options) as stream:
        chunks = list(stream)
    assert stream.response["choices"] == whole["choices"]
    assert stream.response["usage"] == whole["usage"]
    assert set(stream.response) == set(whole)
    assert len(chunks) > 5


def test_log_probabilities_are_put_together(client: LlamaClient) -> None:
    options: Any = {"max_tokens": 4, "temperature": 0, "logprobs": True, "top_logprobs": 2}
    with client.chat_stream(HELLO, **options) as stream:
        list(stream)
    (choice,) = stream.response["choices"]
    assert (
        choice["logprobs"]["content"]
        == (client.chat_completion(HELLO, **options)["choices"][0]["logprobs"]["content"])
    )


def test_a_slot_is_pinned_saved_erased_and_restored(client: LlamaClient) -> None:
    text = "The capital of France is a city that lies on a river."
    first = client.complete(text, id_slot=1, n_predict=1)
    assert first["id_slot"] == 1
    saved = client.save_slot(1, "a.slot")
    client.erase_slot(1)
    assert client.restore_slot(1, "a.slot")["n_restored"] == saved["n_saved"] > 5


def test_what_the_server_cannot_do_is_said(client: LlamaClient) -> None:
    with pytest.raises(LlamaNotSupportedError) as caught:
        client.embed("x")
    assert caught.value.status == 501
    with pytest.raises(LlamaServerError):
        client.rerank("x", ["y"])
    with pytest.raises(LlamaServerError):
        client.infill("a", "b")
    with pytest.raises(LlamaNotSupportedError):
        client.load_model("other")


def test_vectors_and_scores(library: LlamaLibrary, model_path: Path, tmp_path: Path) -> None:
    with (
        running(library, model_path, tmp_path, "--embedding", "--pooling", "mean") as up,
        LlamaClient(up.url, api_key=KEY) as client,
    ):
        client.wait(60)
        one, two = client.embed(["a cat", "a dog"])
        assert len(one) == len(two) > 100
        assert client.embed("a cat")[0] == pytest.approx(one, abs=1e-3)


def test_models_are_loaded_and_unloaded_by_name(model_path: Path) -> None:
    with (
        LlamaServer({"a": model_path, "b": model_path}, ctx_size=512) as up,
        LlamaClient(up.base_url, api_key=up.api_key, model="a") as client,
    ):

        def status() -> dict[str, str]:
            return {model["id"]: model["status"]["value"] for model in client.models()}

        assert status() == {"a": "unloaded", "b": "unloaded"}
        client.load_model("a", timeout=60)
        assert status() == {"a": "loaded", "b": "unloaded"}
        assert client.chat_completion(HELLO, max_tokens=2)["model"] == "a"
        assert client.props()["default_generation_settings"]["n_ctx"] == 512
        client.unload_model("a")
        assert soon(lambda: status()["a"] == "unloaded", 10)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("localhost:8080", "http://localhost:8080"),
        ("https://host/llama/v1/", "https://host/llama"),
        ("http://127.0.0.1:1/?x=1#y", "http://127.0.0.1:1"),
    ],
)
def test_addresses_are_taken_as_people_write_them(url: str, base: str) -> None:
    with LlamaClient(url) as client:
        assert client.base_url == base


@pytest.mark.quick
@pytest.mark.parametrize(
    ("host", "direct"),
    [
        ("localhost", True), ("a.localhost", True), ("127.1.2.3", True), ("0.0.0.0", True),
        ("[::1]", True), ("[::ffff:127.0.0.1]", True), (socket.gethostname(), True),
        ("192.0.2.1", False), ("[2001:db8::1]", False),
    ],
)  # fmt: skip
def test_a_proxy_is_not_the_way_to_this_machine(
    host: str, direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    with LlamaClient(f"http://{host}:8080") as client:
        assert client._transport._session.trust_env is not direct


def test_the_environment_is_read_for_proxies_and_certificates_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        for spelled in (name, name.upper()):
            monkeypatch.delenv(spelled, raising=False)
    for scheme in ("http", "https"):
        with LlamaClient(f"{scheme}://192.0.2.1") as client:
            assert client._transport._session.trust_env is (scheme == "https")


def test_a_server_listens_on_ipv6(tmp_path: Path) -> None:
    port = reserve("::1", 0)
    with LlamaServer(tiny.make("llama", tmp_path), host="::1", port=port, threads=1) as server:
        assert server.base_url == f"http://[::1]:{port}"
        assert server.client().health()


@pytest.mark.parametrize("url", ["", "ftp://host", "http://", "http://me:secret@host"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base_url") as caught:
        LlamaClient(url)
    assert "secret" not in str(caught.value)


def test_an_unknown_field_is_refused_with_the_nearest(client: LlamaClient) -> None:
    with pytest.raises(TypeError, match="did you mean 'temperature'"):
        client.complete("x", temprature=1.0)  # type: ignore[call-arg]


def test_null_is_the_default(client: LlamaClient) -> None:
    assert client.chat_completion(HELLO, max_tokens=2, top_p=None, seed=None)["choices"]


def test_an_image_becomes_a_part_of_a_message(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"\xff\xd8")
    assert image(path)["image_url"]["url"] == "data:image/jpeg;base64,/9g="
    assert image(b"\x89PNG")["image_url"]["url"].startswith("data:image/png;base64,")
    assert image("https://host/x.png")["image_url"]["url"] == "https://host/x.png"


# -- errors of the real server


def test_a_wrong_key_is_an_authentication_error(server: Running, client: LlamaClient) -> None:
    with (
        LlamaClient(server.url, api_key="wrong-key-1234") as other,
        pytest.raises(LlamaAuthenticationError) as caught,
    ):
        other.props()
    assert caught.value.status == 401
    assert "wrong-key" not in str(caught.value)
    with LlamaClient(server.url) as other, pytest.raises(LlamaAuthenticationError):
        other.props()


def test_the_key_is_in_no_log_and_no_repr(
    client: LlamaClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        client.props()
        with pytest.raises(LlamaBadRequestError) as caught:
            client.chat_completion(HELLO, response_format={"type": KEY})
    assert KEY not in caplog.text + repr(client) + str(caught.value)


def test_a_grammar_that_is_none_is_not_tried_again(client: LlamaClient) -> None:
    start = time.monotonic()
    with pytest.raises(LlamaBadRequestError):
        client.chat_completion(HELLO, grammar="root ::= (")
    assert time.monotonic() - start < 2


def test_closing_a_stream_stops_the_server(client: LlamaClient) -> None:
    with client.chat_stream(HELLO, max_tokens=1500, ignore_eos=True, id_slot=0) as stream:
        next(iter(stream))
    assert soon(lambda: is_idle(client), 5)


def test_a_stream_is_closed_from_another_thread(client: LlamaClient) -> None:
    stream = client.chat_stream(HELLO, max_tokens=1500, ignore_eos=True)
    threading.Timer(0.3, stream.close).start()
    with pytest.raises(LlamaCancelled):
        for _ in stream:
            pass
    assert soon(lambda: is_idle(client), 5)


def test_a_stream_that_breaks_is_taken_up_again(client: LlamaClient) -> None:
    options: Any = {"max_tokens": 40, "temperature": 0, "cache_prompt": False}
    whole = client.chat_completion(HELLO, **options)
    with client.chat_stream(HELLO, conversation="taken-up", **options) as stream:
        for i, _ in enumerate(stream):
            if i == 4:  # cut the wire
                stream._stream._response.raw.connection.sock.shutdown(2)
    assert stream.response["choices"] == whole["choices"]


FORMS: dict[str, Any] = {
    "responses": (
        {"input": HELLO, "max_output_tokens": 8}, lambda r: r["output"][0]["content"][0]["text"],
        lambda event: event["delta"] if event["type"] == "response.output_text.delta" else "",
    ),
    "messages": (
        {"messages": HELLO, "max_tokens": 8}, lambda r: r["content"][0]["text"],
        lambda event: event.get("delta", {}).get("text", ""),
    ),
}  # fmt: skip
"""Method: its arguments, the text of its answer, and that of an event."""


@pytest.mark.parametrize("form", FORMS)
def test_another_form_of_the_chat_says_the_same(client: LlamaClient, form: str) -> None:
    given, text, part = FORMS[form]
    said = client.chat_completion(HELLO, max_tokens=8, temperature=0)
    said = said["choices"][0]["message"]["content"]
    assert text(getattr(client, form)(**given, temperature=0)) == said
    events = list(getattr(client, f"{form}_stream")(**given, temperature=0))
    assert "".join(map(part, events)) == said
    assert len(events) > 8
    (_, asked), *_ = given.items()
    assert getattr(client, f"{form}_tokens")(asked) == client.count_tokens(HELLO)


def test_speech_is_transcribed(tiny_path: Callable[..., Path], tmp_path: Path) -> None:
    projector = tiny_mmproj.make(tmp_path, "audio")
    sound = tmp_path / "a.wav"
    with wave.open(str(sound), "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(16000)
        file.writeframes(b"\0\1" * 16000)
    options: Any = {"max_tokens": 8, "temperature": 0, "language": "en", "prompt": "a"}
    with (
        LlamaServer(tiny_path("llama"), mmproj=projector, threads=1, parallel=1) as server,
        server.client() as client,
    ):
        said = client.transcribe(sound, **options)
        assert said == "".join(client.transcribe_stream(sound.read_bytes(), **options)) != ""
        with pytest.raises(LlamaBadRequestError):
            client.transcribe(b"not a sound")


def test_models_are_loaded_watched_and_removed(tiny_path: Callable[..., Path]) -> None:
    with (
        LlamaServer({"one": tiny_path("llama")}, threads=1, offline=True) as server,
        server.client() as client,
    ):
        events = client.model_events()
        for _ in range(2):  # the second finds it loaded
            client.load_model("one")
        client.unload_model("one")
        seen = [next(events) for _ in range(3)]
        assert {event["model"] for event in seen} == {"one"}
        assert seen[0]["event"] == "model_status"
        with pytest.raises(LlamaServerError, match="not removable"):
            client.remove_model("one")
        client.add_model("nobody/nothing-GGUF")  # the network is not asked
        assert any(event["event"].startswith("download_f") for event in events)
        events.close()  # type: ignore[attr-defined]


def test_any_other_route_is_reached(client: LlamaClient) -> None:
    answer = client.request("POST", "/v1/completions", {"prompt": "a", "max_tokens": 2})
    assert answer["object"] == "text_completion"
    with pytest.raises(LlamaNotSupportedError, match="feature is disabled"):
        client.request("GET", "/tools")


def test_events_that_end_early_are_an_error() -> None:
    with (
        fault_server(streamed(event({"content": "a", "stop": False}))) as server,
        LlamaClient(server.url) as client,
        pytest.raises(LlamaStreamError, match="before its last event"),
    ):
        list(client.complete_stream("Hi"))


@pytest.mark.parametrize("base", ["http://127.0.0.1", "https://example.org"])
def test_a_key_is_that_of_the_client_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, base: str
) -> None:
    (tmp_path / "netrc").write_text("default login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    sent: list[Any] = []

    def send(self: object, request: Any, **options: Any) -> Any:
        sent.append(request.headers)
        raise requests.exceptions.ConnectionError

    monkeypatch.setattr("requests.adapters.HTTPAdapter.send", send)
    for key in (None, "k"):
        with LlamaClient(base, api_key=key, retries=0) as client, pytest.raises(LlamaServerError):
            client.props()
    assert [headers.get("Authorization") for headers in sent] == [None, "Bearer k"]


# -- behaviour that is too rare in the real server; more of it: test_agent_faults.py


def test_a_loading_model_is_waited_for() -> None:
    waits: list[tuple[str, float]] = []
    with (
        fault_server(LOADING, LOADING, reply(200, {"status": "ok"})) as server,
        LlamaClient(server.url, on_wait=lambda *what: waits.append(what)) as client,
    ):
        assert client.slots() == ["status"]
    assert len(server.requests) == 3
    assert [what for what, _ in waits] == ["loading", "loading"]


def test_nobody_there_is_tried_again_and_then_said() -> None:
    with (
        LlamaClient("http://127.0.0.1:9", retries=1) as client,
        pytest.raises(
            LlamaServerConnectionError,
            match=r"no answer from \S+: [^(]*refused[^(]*\. Is llama-server running",
        ),
    ):
        client.props()


def test_tool_calls_are_put_together() -> None:
    assembler = ChatAssembler()
    for call in (
        called("f", "{"),
        {"index": 0, "function": {"arguments": "}"}},
        called("g", "", 1),
        {"index": 1, "function": {"arguments": {}}},
    ):
        assembler.add(delta(tool_calls=[call]))
    calls = assembler.response()["choices"][0]["message"]["tool_calls"]
    assert [(c["id"], c["function"]) for c in calls] == [
        ("c0", {"name": "f", "arguments": "{}"}),
        ("c1", {"name": "g", "arguments": "{}"}),
    ]
