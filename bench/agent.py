"""The agent's overhead for a request and for a token: on a server that answers at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import requests

from llama_cpp import LlamaAgent
from llama_cpp.agent.events import TextDelta
from tests.support import faultserver

from .measure import Spread, each, interleaved
from .place import Place
from .report import Row, Table, at_most

REQUESTS = 50
_PAUSE = 0.02
_HI = [{"role": "user", "content": "Hi"}]
_POST = "requests.post"


def agent(place: Place) -> Table:
    """A request, over a bare one; and a token, over its arrival."""
    table = Table(f"the agent's own share, on a server that answers at once; {REQUESTS} a round")
    with faultserver.fault_server(faultserver.whole()) as server, LlamaAgent(server.url) as ours:
        ours.chat(_HI)  # the requests that are made only once
        url = f"{server.url}/v1/chat/completions"
        body = {"messages": _HI}
        with requests.Session() as kept:
            calls: dict[str, Callable[[], object]] = {
                _POST: lambda: requests.post(url, json=body, timeout=9).json(),
                "requests, one session": lambda: kept.post(url, json=body, timeout=9).json(),
                "LlamaAgent.chat": lambda: ours.chat(_HI),
                "LlamaClient.chat_completion": lambda: ours.client.chat_completion(_HI),
            }
            contenders = {name: each(call, REQUESTS) for name, call in calls.items()}
            found = interleaved(contenders, place.rounds)
    for name, values in found.items():
        table.rows.append(Row(name, Spread.of([1e3 * value for value in values]), "ms"))
    for name in ("LlamaAgent.chat", "LlamaClient.chat_completion"):
        over = [1e3 * (a - b) for a, b in zip(found[name], found[_POST], strict=True)]
        table.rows.append(Row(f"{name}, over {_POST}", Spread.of(over), "ms", target=at_most(1)))
    late = Spread.of([1e3 * value for value in _late(place.rounds * 5)])
    table.rows.append(Row("first token, after it was sent", late, "ms", target=at_most(2)))
    return table


def _late(times: int) -> list[float]:
    """Seconds from the sending of the first token to its event."""
    role = faultserver.event(faultserver.delta(role="assistant", content=None))
    token = faultserver.event(faultserver.delta(content="Hi"))
    rest = faultserver.event(faultserver.delta("stop")) + faultserver.event("[DONE]")
    part = faultserver.part
    answer: list[Any] = [faultserver.STREAM, part(role), _PAUSE, part(token), _PAUSE, part(rest)]
    late = []
    with (
        faultserver.fault_server([*answer, faultserver.END]) as server,
        LlamaAgent(server.url) as ours,
    ):
        for _ in range(times):
            for event in ours.stream(_HI):
                if isinstance(event, TextDelta):
                    late.append(time.perf_counter() - server.sent[part(token)])
    return late
