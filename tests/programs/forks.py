"""Use of the package in a process made by fork, and its refusals: MODEL CASE."""

import asyncio
import http.server
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress

from llama_cpp import AsyncLlama, Llama, LlamaClient, LlamaContext, LlamaModel, LlamaRpcServer
from llama_cpp.errors import LlamaCancelled, LlamaError
from llama_cpp.native import calls, fork, interrupt, library, remote

MODEL, CASE = sys.argv[1:]


def in_child(work: Callable[[], object]) -> None:
    """Print the result or exception of ``work`` in a child, and the child's exit."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            print(work())
        except LlamaError as error:
            print(type(error).__name__, *str(error).replace(MODEL, "M").split(":")[:1])
        sys.exit(0)
    for _ in range(600):
        done, code = os.waitpid(pid, os.WNOHANG)
        if done:
            print("ends with", code)
            return
        time.sleep(0.1)
    os.kill(pid, 9)
    print("hangs")


def text(llm: Llama) -> str:
    """The same in each process that can compute."""
    return llm.complete("the cat", max_tokens=8, temperature=0, cache_prompt=False).text


def own() -> str:
    """The text of a model that the child loads itself."""
    with Llama(MODEL, n_ctx=256, n_threads=2) as llm:
        return text(llm)


def inherited() -> None:
    llm = Llama(MODEL, n_ctx=256, n_threads=2)
    right = text(llm)
    in_child(lambda: text(llm) == right == own())
    print(text(llm) == right)


def thread_computes() -> None:
    model = LlamaModel.from_file(MODEL)
    ctx = LlamaContext(model, n_ctx=2048, n_batch=512, n_threads=2)
    running, stop = threading.Event(), threading.Event()

    def work() -> None:
        while not stop.is_set():
            ctx.memory.clear()
            running.set()
            ctx.decode([1] * 500)

    thread = threading.Thread(target=work)
    thread.start()
    running.wait()
    while not ctx.core.lock.locked():
        pass
    in_child(lambda: (model.tokenize("the cat") != [], own() != ""))
    while not ctx.core.lock.locked():
        pass
    in_child(lambda: ctx.decode([1]))
    stop.set()
    thread.join()


def without_hooks() -> None:
    """As uWSGI forks, which knows only of the hooks for a child; or as with an old OpenMP."""
    llm = Llama(MODEL, n_ctx=256, n_threads=2)
    text(llm)
    fork._find = lambda *_: print if "GOMP" in _[1] else None  # type: ignore[assignment]
    in_child(lambda: len(llm.tokenize("the cat")) * len(llm.model.metadata) > 0)
    in_child(lambda: text(llm))
    in_child(own)


def locks() -> None:
    """Another thread holds each lock."""
    llm = Llama(MODEL, n_ctx=256, n_threads=2)
    held = [
        *(calls._lock, interrupt._lock, library._lock, remote._lock, remote._one_at_a_time),
        *(llm.model.adapters_lock, llm._embedder._lock, llm.ctx.core._stopping),
    ]
    ready, stop = threading.Event(), threading.Event()

    def hold() -> None:
        for lock in held:
            lock.acquire()
        ready.set()
        stop.wait()
        for lock in held:
            lock.release()

    thread = threading.Thread(target=hold)
    thread.start()
    ready.wait()
    in_child(lambda: (own() == text(llm), len(llm.embed("the cat")) > 0, llm.cancel()))
    stop.set()
    thread.join()


def failing(_: object) -> str:
    """For a pool."""
    ctx = LlamaContext(LlamaModel.from_file(MODEL), n_ctx=64)
    ctx.decode([1] * 500)
    return "decoded"


def pools() -> None:
    """The worker's error comes out in the parent, twice: the worker lives on."""
    llm = Llama(MODEL, n_ctx=256, n_threads=2)
    text(llm)
    way = multiprocessing.get_context("fork")
    with way.Pool(1) as workers, ProcessPoolExecutor(1, mp_context=way) as executor:
        for _ in range(2):
            for result in (
                lambda: workers.map_async(failing, [0]).get(timeout=60),
                lambda: executor.submit(failing, 0).result(timeout=60),
            ):
                try:
                    print(result())
                except LlamaError as error:
                    print(type(error).__name__, getattr(error, "code", None))


def asyncio_in_both() -> None:
    """The worker thread of an AsyncLlama is in the parent alone."""
    llm = AsyncLlama(MODEL, n_ctx=256, n_threads=2)

    def complete() -> str:
        return asyncio.run(llm.complete("the cat", max_tokens=8, temperature=0)).text

    right = complete()
    in_child(lambda: complete() == right)
    print(complete() == right)
    llm.sync.close()


def connections() -> None:
    """A child does not send over the parent's connection."""
    ports: list[int] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            ports.append(self.client_address[1])
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = LlamaClient(f"http://127.0.0.1:{server.server_port}")
    client.props()
    in_child(client.props)
    client.props()
    print(ports[0] == ports[2] != ports[1])


def read(generation: Iterable[str]) -> None:
    with suppress(LlamaCancelled):
        list(generation)


def among_threads() -> None:
    """Two threads generate when the process forks; none of them is in the child."""
    llm = Llama(MODEL, n_ctx=1024, n_threads=1, n_seq_max=3)
    right = text(llm)
    long = [llm.generate("the cat", max_tokens=900, ignore_eos=True) for _ in range(2)]
    threads = [threading.Thread(target=read, args=(one,)) for one in long]
    for thread in threads:
        thread.start()
    while not all(one.tokens for one in long):
        time.sleep(0.001)

    def answers() -> bool:
        try:
            return text(llm) == right
        except LlamaError as error:  # a thread was in the context
            return "in use by another thread when this process was forked" in str(error)

    in_child(answers)
    for one in long:
        one.cancel()
    for thread in threads:
        thread.join()
    print(text(llm) == right)


def servers() -> None:
    """A child neither uses nor frees the parent's model on an RPC server."""
    with LlamaRpcServer() as server:
        llm = Llama(MODEL, n_ctx=256, n_threads=2, rpc_servers=[server.endpoint], n_gpu_layers=9)
        right = text(llm)
        in_child(lambda: len(llm.tokenize("the cat")) > 0)
        in_child(lambda: text(llm))
        in_child(own)
        print(text(llm) == right, server.log.exists())


if __name__ == "__main__":
    globals()[CASE]()
