"""Grammars whose steps take minutes: cancelled, interrupted and given up: MODEL."""

import os
import signal
import sys
import threading
import time

from llama_cpp import Llama
from llama_cpp.errors import LlamaError
from llama_cpp.native import calls
from llama_cpp.sampling import LlamaSampler, grammar, guidance

llm = Llama(sys.argv[1], n_ctx=64, n_threads=1, n_threads_batch=1)
slow = "root ::= " + '"t"? "h"? "e"? " "? ' * 450
ticks = 0
made: list[LlamaSampler] = []


def tick() -> None:
    global ticks
    while True:
        time.sleep(0.001)
        ticks += 1


threading.Thread(target=tick, daemon=True).start()


def make() -> LlamaSampler:
    made.append(LlamaSampler.chain().grammar(llm.model, slow).top_k(40).dist(1))
    return made[-1]


def run(name: str, schema: bool = False) -> None:
    before = ticks
    try:
        given = {"json_schema": slow_schema} if schema else {"sampler": make}
        llm.complete("the cat", max_tokens=30, **given)
    except (LlamaError, KeyboardInterrupt) as error:
        print(name, type(error).__name__, str(error)[:40], ticks - before > 20, flush=True)


calls.MOST_LEFT = 6
slow_schema = {"allOf": [{"type": "string", "pattern": f".*a.{{{i}}}"} for i in range(20)]}
for schema in (False, True):
    with llm.cancel_after(0.5):
        run("cancelled", schema)
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    run("interrupted", schema)
grammar.PATIENCE = 0.2
run("given up")
try:
    llm.complete("the cat", sampler=made[-1])
except LlamaError as error:
    print("again", str(error)[-18:])
print("usable", llm.complete("the cat", grammar='root ::= "on"').text, flush=True)
guidance.PATIENCE = 0.2
run("late", schema=True)
run("many", schema=True)
os._exit(0)  # without waiting for abandoned threads
