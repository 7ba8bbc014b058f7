"""Grammars whose steps take minutes: cancelled, interrupted and given up: MODEL."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from llama_cpp import Llama
from llama_cpp.errors import LlamaError
from llama_cpp.native import calls
from llama_cpp.sampling import LlamaSampler, grammar, guidance

llm = Llama(sys.argv[1], n_ctx=64, n_threads=1, n_threads_batch=1)
slow = "root ::= " + '"t"? "h"? "e"? " "? ' * 450
ticks = 0


def tick() -> None:
    global ticks
    while True:
        time.sleep(0.001)
        ticks += 1


threading.Thread(target=tick, daemon=True).start()


def grammar_of_many_ways() -> LlamaSampler:
    return LlamaSampler.chain().grammar(llm.model, slow).top_k(40).dist(1)


def run(name: str, stop: Callable[[], object] | None = None, **given: Any) -> None:
    before = ticks
    if stop is not None:
        threading.Timer(1, stop).start()
    try:
        llm.complete("the cat", max_tokens=30, **given)
    except (LlamaError, KeyboardInterrupt) as error:
        print(name, type(error).__name__, str(error)[:40], ticks - before > 20, flush=True)


calls.MOST_LEFT = 6
schema = {"allOf": [{"type": "string", "pattern": f".*a.{{{i}}}"} for i in range(20)]}
interrupt = partial(os.kill, os.getpid(), signal.SIGINT)
run("cancelled", llm.cancel, sampler=grammar_of_many_ways())
run("interrupted", interrupt, sampler=grammar_of_many_ways())
run("cancelled", llm.cancel, json_schema=schema)
run("interrupted", interrupt, json_schema=schema)
grammar.PATIENCE = guidance.PATIENCE = 1
sampler = grammar_of_many_ways()
run("given up", sampler=sampler)
try:
    llm.complete("the cat", sampler=sampler)
except LlamaError as error:
    print("again", str(error)[-18:])
print("usable", llm.complete("the cat", grammar='root ::= "on"').text, flush=True)
run("late", json_schema=schema)
run("many", json_schema=schema)
os._exit(0)  # without waiting for what was given up
