"""Grammars whose steps take minutes: cancelled, interrupted and given up: MODEL."""

import os
import signal
import sys
import threading
import time

from llama_cpp import Llama
from llama_cpp.errors import LlamaError
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


def run(name: str) -> LlamaSampler:
    sampler = LlamaSampler.chain().grammar(llm.model, slow).top_k(40).dist(1)
    before = ticks
    try:
        llm.complete("the cat", sampler=sampler, max_tokens=30)
    except (LlamaError, KeyboardInterrupt) as error:
        print(name, type(error).__name__, str(error)[:40], ticks - before > 20, flush=True)
    return sampler


with llm.cancel_after(0.5):
    sampler = run("cancelled")
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
run("interrupted")
grammar.PATIENCE = 0.2
run("given up")
try:
    llm.complete("the cat", sampler=sampler)
except LlamaError as error:
    print("again", str(error)[-18:])
print("usable", llm.complete("the cat", grammar='root ::= "on"').text, flush=True)
guidance.PATIENCE = 0.2
patterns = [{"type": "string", "pattern": f".*a.{{{i}}}"} for i in range(20)]
try:
    llm.complete("the cat", json_schema={"allOf": patterns})
except LlamaError as error:
    print("schema", error, flush=True)
os._exit(0)  # without waiting for what was given up
