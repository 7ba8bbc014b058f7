"""Many users at a time, and several talks in turn, next to llama-server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import product
from typing import Any

from llama_cpp import AsyncLlama, Llama, LlamaModel
from tests.support import llamaserver

from .generation import C
from .measure import Contender, Once, Spread, interleaved, ratios
from .place import Place
from .report import Row, Table, at_least

_CLIENTS = (1, 4, 8, 16)
_TOKENS = 32  # of a prompt, and of its answer
_OPTIONS: dict[str, Any] = {"temperature": 0, "cache_prompt": False, "ignore_eos": True}
_SERVER = "llama-server"
_TASKS = "gather of AsyncLlama.complete"
_TALKS = (2, 8)
_TURNS = 5


@contextmanager
def _both(place: Place, n: int, n_ctx: int) -> Iterator[tuple[Llama, llamaserver.Running]]:
    """A `Llama` and a server with ``n`` places, which compute in turn."""
    model = LlamaModel.from_file(place.model)
    threads: dict[str, Any] = {"n_threads": place.threads, "n_threads_batch": place.threads}
    with (
        llamaserver.running(
            model.library, place.model, place.folder, "--parallel", n, "-t", place.threads,
            "-c", n_ctx, "--kv-unified", patient=False,
        ) as server,
        Llama(model, n_ctx=n_ctx, n_seq_max=n, **threads) as llm,
    ):  # fmt: skip
        llamaserver.wait(server)
        yield llm, server


def service(place: Place) -> Table:
    """Requests of 32 + 32 tokens, as many at a time as there are clients."""
    table = Table(
        f"service, {_TOKENS} + {_TOKENS} tokens a request of {place.model.stem}, {place.threads} "
        f"threads: tokens/s over those of {_SERVER}"
    )
    with _both(place, max(_CLIENTS), 4096) as (llm, server), ThreadPoolExecutor(16) as pool:
        words = llm.tokenize("one two three four five six seven eight" * 4)
        prompts = [[words[i], *words[1:_TOKENS]] for i in range(max(_CLIENTS))]
        for n in _CLIENTS:
            found = _measured(place, llm, server, pool, prompts[:n])
            for name, values in found.items():
                note = f"{1 / Spread.of(values).median:.0f} tokens/s"
                target = at_least(1.0) if n >= 8 and name == _TASKS else None
                over = ratios(found[_SERVER], values)
                table.rows.append(Row(f"{n} clients, {name}", over, note=note, target=target))
    return table


def _measured(
    place: Place, llm: Llama, server: llamaserver.Running, pool: ThreadPoolExecutor, prompts: Any
) -> Mapping[str, list[float]]:
    n = len(prompts)
    body = {"n_predict": _TOKENS, "samplers": ["temperature"], **_OPTIONS}
    options: dict[str, Any] = {"max_tokens": _TOKENS, **_OPTIONS}

    def ask(prompt: list[int]) -> object:
        return llamaserver.ask(server, "completion", {"prompt": prompt, **body})

    async def gather() -> None:
        tasks = AsyncLlama(llm)
        await asyncio.gather(*(tasks.complete(prompt, **options) for prompt in prompts))

    calls: dict[str, Callable[[], object]] = {
        _SERVER: lambda: list(pool.map(ask, prompts)),
        _TASKS: lambda: asyncio.run(gather()),
        "threads on one Llama": lambda: list(
            pool.map(lambda prompt: llm.complete(prompt, **options), prompts)
        ),
        "Llama.generate_many": lambda: llm.complete_many(prompts, **options),
    }

    def timed(call: Callable[[], object]) -> Callable[[], float]:
        def measure() -> float:
            begun = time.perf_counter()
            call()
            return (time.perf_counter() - begun) / (n * _TOKENS)

        return measure

    contenders: dict[str, Contender] = {name: Once(timed(call)) for name, call in calls.items()}
    text = place.file("service.txt", llm.detokenize(prompts[0][1:], special=False))
    contenders[C] = place.c("parallel", place.model, n, text)
    return interleaved(contenders, place.rounds)


def talks(place: Place) -> Table:
    """Conversations in turn, each with a system message of its own of some 300 tokens."""
    table = Table(f"talks in turn, {place.model.stem}, {place.threads} threads: a later turn")
    for n in _TALKS:
        with _both(place, n, 8192) as (llm, server):
            seconds, reused = _talked(n, {
                "ours": lambda messages, llm=llm: _ours(llm, messages),
                _SERVER: lambda messages, server=server: _theirs(server, messages),
            })  # fmt: skip
        for name in seconds:
            table.rows.append(Row(f"{n} talks, {name}, reused", Spread.of(reused[name])))
            note = f"{Spread.of(seconds[name]).median:.2f} s"
            over = ratios(seconds[name], seconds[_SERVER])
            table.rows.append(Row(f"{n} talks, {name}, time", over, note=note))
    return table


def _talked(n: int, contenders: Mapping[str, Callable[[Any], tuple[str, int, int]]]) -> Any:
    """The seconds of later turns, and the shares of their prompts that were reused."""
    rules = " ".join(f"Rule {i}: answer in one short sentence, please." for i in range(25))
    begins = [{"role": "system", "content": f"You are number {i}. {rules}"} for i in range(n)]
    talks = {name: [[begin] for begin in begins] for name in contenders}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    reused: dict[str, list[float]] = {name: [] for name in contenders}
    for round_, talk in product(range(_TURNS), range(n)):
        for name, turn in contenders.items():
            messages = talks[name][talk]
            messages.append({"role": "user", "content": f"Say something about {round_}."})
            begun = time.perf_counter()
            text, cached, whole = turn(messages)
            if round_:
                seconds[name].append(time.perf_counter() - begun)
                reused[name].append(cached / whole)
            messages.append({"role": "assistant", "content": text})
    return seconds, reused


def _ours(llm: Llama, messages: Any) -> tuple[str, int, int]:
    done = llm.chat(messages, max_tokens=12, temperature=0)
    return done.text, done.usage.cached_tokens, done.usage.prompt_tokens


def _theirs(server: llamaserver.Running, messages: Any) -> tuple[str, int, int]:
    body = {"messages": messages, "max_tokens": 12, "temperature": 0}
    done = llamaserver.ask(server, "v1/chat/completions", body)
    timings = done["timings"]
    text = done["choices"][0]["message"]["content"]
    return text, timings["cache_n"], timings["cache_n"] + timings["prompt_n"]
