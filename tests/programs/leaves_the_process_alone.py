"""Compares the process before and after each statement of a program: MODEL FOLDER [STATEMENTS].

Other threads write to stdout and stderr meanwhile, and one looks for short-lived changes. The
program runs twice: permanent parts of the first run (a thread and two descriptors for Ctrl-C) may
stay. Prints the differences, and the number of the writers' lines. STATEMENTS are run instead of
the program of a user.
"""

import ast
import asyncio
import faulthandler
import gc
import locale
import logging
import os
import random
import resource
import signal
import socket
import sys
import threading
import time
import warnings
from typing import Any

import pydantic  # noqa: F401  # these set filters of warnings as they are imported
import requests  # noqa: F401

M, FOLDER = sys.argv[1:3]
PROGRAM = """
from llama_cpp import *
from llama_cpp import _raw
from llama_cpp.errors import LlamaError, LlamaModelError
from dataclasses import dataclass
from concurrent.futures import ThreadPoolExecutor
pieces = []
llm = Llama(M, n_ctx=256, n_seq_max=4, n_threads=2)
for piece in llm.generate("the cat", max_tokens=8, seed=1): pieces.append(piece)
reply = llm.chat([{"role": "user", "content": "the mat"}], temperature=0.7, seed=1, max_tokens=8)
reply.text, reply.finish_reason, reply.usage.completion_tokens, reply.timings.tokens_per_second
list(llm.chat_stream([{"role": "user", "content": "the mat"}], max_tokens=4))
llm.embed(["a cat", "a dog"])
llm.complete("hello world in time " * 20, max_tokens=8, cache_prompt=False)
sum(1 for index, piece in llm.generate_many(["the", "a cat", "sat"], max_tokens=6))
llm.complete_many(["the", "a cat"], max_tokens=4)
llm.complete("the", regex="[a-c]{3}", max_tokens=8)
llm.complete("the", grammar='root ::= "a" | "b"', max_tokens=8)
llm.complete("the", json_schema={"type": "boolean"}, max_tokens=8)
llm.complete("the", lark='start: "a"', max_tokens=4)
llm.chat_tokens([{"role": "user", "content": "the mat"}])
llm.chat_prompt([{"role": "user", "content": "the mat"}])
cancelled = raises(lambda: within(llm, 0.01))
with ThreadPoolExecutor(2) as pool: raises(lambda: list(pool.map(llm.complete, ["the", "a"])))
llm.close()
model = LlamaModel.from_file(M, n_gpu_layers=0, progress=lambda done: None)
tokens = model.tokenize("the cat sat")
ctx = LlamaContext(model, n_ctx=256, n_batch=128, n_seq_max=4, n_threads=2)
sampler = LlamaSampler.chain().top_k(40).top_p(0.95).temp(0.8).dist(seed=42)
ctx.decode(LlamaBatch(tokens))
token = sampler.sample(ctx)
model.is_eog(token), model.token_to_piece(token), model.metadata["general.architecture"]
ctx.decode(LlamaBatch([token]))
ctx.logits(-1), repr(ctx), repr(model), repr(sampler), model.vocab.bos, model.n_ctx_train
ctx.memory.clear()
seq = ctx.sequence()
seq.extend(tokens)
a, b = seq.fork(), seq.fork()
a.extend(tokens), b.append(tokens[0])
seq.save(FOLDER + "/session.state")
other = LlamaContext(model, n_ctx=256, n_seq_max=4, n_threads=1)
later = other.sequence.load(FOLDER + "/session.state")
other.save(FOLDER + "/all.state"), other.load(FOLDER + "/all.state")
grammar = LlamaSampler.chain().grammar(model, 'root ::= "the" | [a-z]+').top_k(40).dist(seed=1)
bad = raises(lambda: LlamaSampler.chain().grammar(model, "root ::= ("))
custom = LlamaSampler.chain().custom(Custom()).greedy()
grammar.sample(ctx), custom.sample(ctx)
raises(lambda: LlamaModel.from_file("/no/such.gguf"))
raises(lambda: LlamaModel.from_file(__file__))
raises(lambda: ctx.decode([1] * 1000)), raises(lambda: ctx.decode([-1]))
quantize(M, FOLDER + "/q8.gguf", ftype=_raw.LLAMA_FTYPE_MOSTLY_Q8_0)
del a, b, seq, later, grammar, custom, sampler
ctx.close(), other.close(), model.close()
raw = _raw.llama_model_load_from_file(M.encode(), _raw.llama_model_default_params())
_raw.llama_model_free(raw)
LlamaLibrary(LlamaLibrary.default().path)
asyncio.run(many())
server = LlamaServer(M, ctx_size=512, threads=1)
agent = server.agent(tools=[weather])
raises(lambda: agent.run("the cat", max_tokens=8))
raises(lambda: list(agent.stream("the cat", max_tokens=8)))
LlamaAgent(server.base_url, api_key=server.api_key).chat("the cat", max_tokens=4)
server.close()
del server, agent, reply, llm
"""


class Custom:
    """A sampler in Python."""

    def apply(self, candidates: Any) -> None:
        """Change nothing."""


def weather(location: str) -> str:
    """Get the weather.

    Args:
        location: a city.
    """
    return f"22 degrees in {location}"


def raises(call: Any) -> Any:
    """The exception of ``call``."""
    try:
        return call()
    except Exception as error:
        return type(error)


def within(llm: Any, seconds: float) -> None:
    """Cancelled."""
    with llm.cancel_after(seconds):
        llm.complete("the cat", max_tokens=100_000, context_shift=True)


async def many() -> None:
    """Many at once in an event loop."""
    from llama_cpp import AsyncLlama

    async with AsyncLlama(M, n_ctx=256, n_threads=1) as llm:
        await asyncio.gather(*(llm.complete(text, max_tokens=4) for text in ("the", "a", "cat")))
        async for _ in llm.generate("the", max_tokens=4):
            pass


def watched() -> dict[str, Any]:
    """State that may not change even for a moment."""
    standard = [os.fstat(n) for n in range(3)]
    handlers = {n: signal.getsignal(n) for n in signal.valid_signals() if n != signal.SIGINT}
    return {
        "standard descriptors": [(s.st_dev, s.st_ino) for s in standard],
        "streams": [id(s) for s in (sys.stdin, sys.stdout, sys.stderr)],
        "hooks": [sys.excepthook, sys.displayhook, sys.breakpointhook, threading.excepthook,
                  sys.gettrace(), sys.getprofile(), *gc.callbacks],
        "signal handlers": handlers,
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "locale": locale.setlocale(locale.LC_ALL),
        "logging": (logging.root.level, list(logging.root.handlers), logging.root.disabled),
        "limits": [resource.getrlimit(n) for n in range(16)],
        "interpreter": (sys.getrecursionlimit(), sys.getswitchinterval(), gc.isenabled(),
                        gc.get_threshold(), faulthandler.is_enabled(), socket.getdefaulttimeout()),
    }  # fmt: skip


def state() -> dict[str, Any]:
    """State that a call must leave unchanged."""
    descriptor = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(descriptor)
    os.umask(mask := os.umask(0o77))
    return watched() | {
        "Ctrl-C": (signal.getsignal(signal.SIGINT), descriptor, signal.getitimer(0)),
        "unraisablehook": sys.unraisablehook,
        "signal mask": signal.pthread_sigmask(signal.SIG_BLOCK, []),
        "C's environment": sorted(c_environment()),
        "umask": mask,
        "warnings": [*warnings.filters, warnings.showwarning],
        "random": random.getstate(),
        "stack size": threading.stack_size(),
        "import path": list(sys.path),
    }


def c_environment() -> list[bytes]:
    """C's environment, as a child receives it."""
    import ctypes

    entries, found = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ"), []
    while entries[len(found)]:
        found.append(entries[len(found)])
    return found


def kept() -> dict[str, Any]:
    """State after the whole program."""
    gc.collect()
    for _ in range(100):  # threads need a moment to end
        threads = sorted(thread.name for thread in threading.enumerate())
        if not [name for name in threads if "Ctrl-C" not in name and name not in OURS]:
            break
        time.sleep(0.05)
    files = sorted(os.listdir("/proc/self/fd"), key=int) if sys.platform == "linux" else []
    return {
        "threads": threads,
        "descriptors": [f for f in files if os.path.exists(f"/proc/self/fd/{f}")],
    }


def compare(when: str, before: dict[str, Any], after: dict[str, Any]) -> None:
    """Print the differences."""
    for name, value in before.items():
        if value != after[name] and (when, name) not in found:
            found.add((when, name))
            print(f"DIFF {when}: {name}")


def look() -> None:
    """Look for short-lived changes."""
    while not stop.is_set():
        compare("for a while", first, watched())
        time.sleep(0.0005)


def write(number: int) -> None:
    """Lines, past Python's buffers."""
    while not stop.is_set():
        os.write(number, b"line\n")
        written[number] += 1
        time.sleep(0.002)


found: set[tuple[str, str]] = set()
written = {1: 0, 2: 0}
stop = threading.Event()
first = watched()
threads = [threading.Thread(target=write, args=(n,), name=f"writer {n}") for n in written]
threads.append(threading.Thread(target=look, name="looker"))
OURS = [thread.name for thread in (*threads, threading.main_thread())]
for thread in threads:
    thread.start()
ends = None
names = {**globals()}
program = "\n".join(sys.argv[3:]) or PROGRAM
for _ in range(2):
    for statement in ast.parse(program).body:
        code = compile(ast.Module([statement], []), "program", "exec")
        before = state()
        try:
            exec(code, names)
        except Exception as error:
            print(f"DIFF {ast.unparse(statement)[:60]}: raises {error!r}")
        compare(ast.unparse(statement)[:60], before, state())
    before, ends = ends, kept()
    if before:
        compare("at the end", before, ends)
stop.set()
for thread in threads:
    thread.join()
sys.stdout.flush()
os.write(2, b"")
print("written", written[1], written[2])
