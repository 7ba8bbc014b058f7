"""Agents and their own server, on a tiny model: many at once, and failures."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import pytest

from checks import cycles
from llama_cpp import LlamaCancelled, LlamaServer
from llama_cpp.agent.events import TextDelta
from llama_cpp.errors import LlamaContextOverflowError, LlamaServerConnectionError, LlamaStreamError
from tests.support import tiny
from tests.support.faultserver import soon
from tests.support.llamaserver import is_idle
from tests.support.started import program

TURN = 20
"""Messages of so many words make the conversation too long."""
LONG: Any = {"max_tokens": 15_000, "ignore_eos": True}


@pytest.fixture(scope="module")
def server(tiny_path: Callable[..., Path]) -> Iterator[LlamaServer]:
    """Four slots with room for 512 tokens each."""
    with LlamaServer(tiny_path("llama"), ctx_size=2048, parallel=4, threads=1) as server:
        yield server


@pytest.fixture(scope="module")
def roomy(tiny_path: Callable[..., Path]) -> Iterator[LlamaServer]:
    """One slot that can go on for a long time."""
    model = tiny_path("llama")
    options: Any = {"override_kv": "llama.context_length=int:16384", "alias": "roomy"}
    with LlamaServer(model, ctx_size=16384, parallel=1, threads=1, **options) as server:
        yield server


@pytest.mark.parametrize("shared", [False, True], ids=["an agent each", "one agent"])
def test_sixteen_at_once_on_four_slots(server: LlamaServer, shared: bool) -> None:
    rounds = 3
    got: dict[int, list[str]] = {i: [] for i in range(16)}
    one = server.agent()

    def ask(i: int) -> None:
        agent = one if shared else server.agent()
        for n in range(rounds):
            word = f"word-{i}-{n}"
            said = [{"role": "user", "content": f"say {word}"}]
            result = agent.run(said if shared else word, grammar=f'root ::= "{word}"')
            got[i].append(result.text)

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(ask, range(16)))
    assert got == {i: [f"word-{i}-{n}" for n in range(rounds)] for i in range(16)}


def test_sixteen_at_once_call_their_own_tools(server: LlamaServer) -> None:
    results: dict[int, list[str]] = {}

    def ask(i: int) -> None:
        def look(key: str) -> str:
            return f"{key} of {i}"

        look.__annotations__["key"] = Literal[f"key{i}"]  # type: ignore[valid-type]
        run = server.agent(tools=[look], max_steps=1).run("x", tool_choice="required")
        results[i] = [call.text for call in run.calls]

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(ask, range(16)))
    assert results == {i: [f"key{i} of {i}"] for i in range(16)}


def test_a_server_that_is_killed_in_the_middle_of_an_answer(roomy: LlamaServer) -> None:
    agent = roomy.agent(retries=1)
    came: list[str] = []
    events = agent.stream("once", **LONG)
    came += [event.text for _, event in zip(range(5), events, strict=False) if text(event)]
    os.kill(program(roomy), signal.SIGKILL)
    rest = (event.text for event in events if isinstance(event, TextDelta))
    with pytest.raises(LlamaStreamError, match="broke in the middle") as caught:
        came.extend(rest)
    partial = caught.value.partial
    assert partial is not None
    assert partial["choices"][0]["message"]["content"] == "".join(came) != ""
    assert agent.messages == []
    assert soon(lambda: not roomy.running)
    with pytest.raises(LlamaServerConnectionError, match=r"has ended \(code 137\)"):
        agent.run("once")
    roomy.restart()
    assert agent.run("once", max_tokens=3).reason == "length"
    assert len(agent.messages) == 2


def text(event: Any) -> bool:
    return isinstance(event, TextDelta)


@pytest.mark.parametrize("way", ["cancel", "close"])
def test_what_is_cancelled_is_no_longer_generated(roomy: LlamaServer, way: str) -> None:
    agent = roomy.agent()
    events = agent.stream("once", **LONG)
    assert text(next(events))
    assert agent.client.slots()[0]["is_processing"]
    if way == "close":
        events.close()  # type: ignore[attr-defined]
    else:
        agent.cancel()
        with pytest.raises(LlamaCancelled):
            list(events)
    assert agent.messages == []
    assert soon(lambda: is_idle(agent.client), 5)
    # Not because it came to its end.
    assert agent.client.slots()[0]["next_token"][0]["n_decoded"] < 14_000
    assert agent.run("once", max_tokens=2).reason == "length"


def test_one_that_waits_for_a_slot_is_cancelled(roomy: LlamaServer) -> None:
    busy, waits = roomy.agent(), roomy.agent()
    events = busy.stream("once", **LONG)
    next(events)
    threading.Timer(0.3, waits.cancel).start()
    with pytest.raises(LlamaCancelled):
        waits.run("once", max_tokens=1)
    assert busy.client.slots()[0]["is_processing"]
    busy.cancel()
    with pytest.raises(LlamaCancelled):
        list(events)
    assert soon(lambda: is_idle(busy.client), 5)


def find(name: Literal["a"]) -> str:
    """Find."""
    return name


@pytest.mark.parametrize("mode", ["native", "constrained"])
@pytest.mark.parametrize("streamed", [True, False])
def test_a_conversation_that_is_too_long(server: LlamaServer, mode: Any, streamed: bool) -> None:
    agent = server.agent(mode=mode, tools=[find], max_tokens=4)
    agent.messages = [
        {"role": role, "content": f"{i} " + "the cat " * TURN}
        for i in range(16)
        for role in ("user", "assistant")
    ]
    before = list(agent.messages)
    with pytest.raises(LlamaContextOverflowError) as caught:
        agent.chat("once", stream=streamed)
    assert caught.value.n_ctx == agent.n_ctx == 512
    assert caught.value.n_prompt_tokens == agent.count("once") > 512
    assert agent.messages == before
    agent.settings.trim = True
    agent.chat("once", stream=streamed)
    kept = agent.messages[:-2]
    assert kept == before[-len(kept) :]
    assert kept[0]["role"] == "user"
    assert 2 <= len(kept) < len(before)
    # No turn more was dropped than had to be.
    agent.messages = before[-len(kept) - 2 :]
    assert agent.count("once") > 512 - 4
    agent.reset()
    with pytest.raises(LlamaContextOverflowError):  # nothing is left to be dropped
        agent.chat("the cat " * 600, stream=streamed)


def test_nothing_stays_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    found, _ = cycles.cycle(tiny.make("llama", tmp_path), 5, place)
    assert set(found) == {"processes", "ports", "files", "descriptors", "threads"}
    assert not any(found.values()), found
