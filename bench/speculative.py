"""Drafted tokens: whether they pay, by the text and the drafts, and by the cost of a decode."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest import mock

from llama_cpp import DraftModel, Llama, LlamaLibrary, LlamaModel, PromptLookup
from llama_cpp.generate import Draft
from llama_cpp.generate.batching import speculation

from .measure import Once, interleaved, ratios
from .place import Place
from .report import Row, Table, Target, at_least

TASKS = {
    "copy": "Repeat this text word for word.\n\nText: The harbour lies at the end of a long "
    "road. Every morning the fishermen bring their boats out before the sun is up, and every "
    "evening they come back with nets full of herring and cod.\n\nThe same text: The harbour",
    "story": "Once upon a time, in a village by the sea, there lived a girl named Ada who wanted",
    "code": "class Point:\n    def __init__(self, x, y):\n        self.x = x\n        self.y = y\n"
    "\n    def add(self, other):\n        return Point(self.x + other.x, self.y + other.y)\n"
    "\n    def sub(self, other):\n        return Point(self.x - other.x, self.y - other.y)\n"
    "\n    def mul(self, factor):\n",
}
_N = 96  # tokens
_NONE = "none"
# On the null engine: microseconds of a decode, and of each further token in it.
_ENGINES = {"flat": (5000, 50), "steep": (5000, 5000)}
_N_NULL = 512


def speculative(place: Place) -> Table:
    """Tasks by methods, next to none; and a flat and a steep cost of a decode."""
    table = Table(f"drafts, {_N} tokens of {place.model.stem}, {place.threads} threads")
    params: Any = {"n_ctx": 512, "n_threads": place.threads, "n_threads_batch": place.threads}
    # Where only one thread computes, other programs' time does not count.
    real = time.thread_time if place.threads == 1 else time.perf_counter
    with (
        Llama(place.model, **params) as llm,
        DraftModel(place.tiny_model, **params) as random,
        DraftModel(llm.model, **params) as itself,
    ):
        methods: dict[str, Draft | None] = {
            _NONE: None,
            "PromptLookup": PromptLookup(),
            "PromptLookup, adapt=False": PromptLookup(adapt=False),
            "DraftModel, random weights": random,
            "DraftModel, the model itself": itself,
        }
        for task, prompt in TASKS.items():
            _add(table, task, llm, prompt, _N, methods, place.rounds, _targets, real)
    library = LlamaLibrary(place.null_library)
    elapsed = ctypes.c_long.in_dll(ctypes.CDLL(str(place.null_library)), "null_us")

    def clock() -> float:
        return time.thread_time() + elapsed.value / 1e6

    for engine, (one, more) in _ENGINES.items():
        for text, words in (("copy", 0), ("nonsense", 20)):
            given = {"NULL_ONE": one, "NULL_MORE": more, "NULL_WORDS": words}
            model = LlamaModel.from_file(place.null_model, library=library)
            with _environment(given), model, Llama(model, n_ctx=1024) as llm:
                least = 1.5 if (engine, text) == ("flat", "copy") else 0.98
                _add(
                    table,
                    f"null engine, {engine}, {text}",
                    llm,
                    "hello",
                    _N_NULL,
                    {_NONE: None, "PromptLookup": PromptLookup()},
                    place.rounds,
                    partial(_fixed, at_least(least)),
                    clock,
                )
    table.remarks.append("speed over that without drafts, from the first token to the last")
    return table


def _fixed(target: Target, _: str) -> Target:
    return target


def _targets(method: str) -> Target | None:
    return None if "adapt=False" in method else at_least(0.98)


def _add(
    table: Table,
    task: str,
    llm: Llama,
    prompt: str,
    n: int,
    methods: Mapping[str, Draft | None],
    rounds: int,
    targets: Callable[[str], Target | None],
    clock: Callable[[], float],
) -> None:
    notes: dict[str, str] = {}
    tokens: dict[str, list[int]] = {}

    def contender(name: str) -> Once:
        def measure() -> float:
            generation = llm.generate(
                prompt,
                max_tokens=n,
                temperature=0,
                ignore_eos=True,
                cache_prompt=False,
                draft=methods[name],
            )
            next(generation)
            begun = clock()
            for _ in generation:
                pass
            seconds = clock() - begun
            found = generation.tokens
            alike = "the same" if tokens.setdefault(_NONE, found) == found else "OTHER"
            right = f"{generation.accepted_tokens} of {generation.drafted_tokens} right"
            notes[name] = f"{right}, {alike} tokens"
            return seconds / n

        return Once(measure)

    with mock.patch.object(speculation, "clock", clock):
        found = interleaved({name: contender(name) for name in methods}, rounds)
    for name, seconds in found.items():
        if name != _NONE:
            speed = ratios(found[_NONE], seconds)
            table.rows.append(Row(f"{task}: {name}", speed, "x", notes[name], targets(name)))


@contextmanager
def _environment(variables: Mapping[str, object]) -> Iterator[None]:
    os.environ.update({name: str(value) for name, value in variables.items()})
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]
