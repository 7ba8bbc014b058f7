"""Loads a model over two RPC servers, and loses one or both of them: MODEL CASE [CODE]."""

import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from llama_cpp import Llama, LlamaContext, LlamaModel, LlamaRpcServer, devices
from llama_cpp.errors import LlamaRpcError
from tests.support.started import program

path, case, *code = sys.argv[1:]


def attempt(call, *arguments, **keywords):
    try:
        call(*arguments, **keywords)
    except Exception as error:
        return type(error).__name__
    return "done"


local = LlamaContext(LlamaModel.from_file(path), n_ctx=256, n_threads=1)
one, two = LlamaRpcServer(n_threads=1), LlamaRpcServer(n_threads=1)
servers = [one.endpoint, two.endpoint]
model = LlamaModel.from_file(path, rpc_servers=servers)


def during_a_generation():
    global model
    device = devices()[-1]
    llm = Llama(model, n_ctx=256, n_threads=1)
    other = LlamaContext(model, n_ctx=256, n_threads=1)
    try:
        for i, _ in enumerate(llm.generate("hello", max_tokens=100, temperature=0)):
            if i == 3:
                two.close()
    except LlamaRpcError as error:
        print(error)
    print(model.closed, other.closed, llm.ctx.closed)
    print(attempt(other.decode, [1]), attempt(LlamaModel.from_file, path, rpc_servers=servers[:1]))
    print(attempt(local.decode, [1, 2]), attempt(lambda: device.memory_free))
    del model, other, llm


def stands_still():
    llm = Llama(model, n_ctx=256, n_threads=1)
    alive = llm.complete("hello", max_tokens=8, temperature=0).tokens

    def watched():
        found = []
        for file in Path("/dev/fd").iterdir():
            if file.is_socket():
                with socket.socket(fileno=os.dup(int(file.name))) as it:
                    if it.family == socket.AF_INET and it.getpeername()[1] == two._port:
                        found.append(bool(it.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)))
        return found

    print(any(watched()))
    os.kill(program(two), signal.SIGSTOP)
    threading.Timer(2.5, os.kill, [program(two), signal.SIGCONT]).start()
    again = llm.complete("hello", max_tokens=8, temperature=0, cache_prompt=False).tokens
    print(again == alive, watched() and all(watched()))


def given_up():
    llm = Llama(model, n_ctx=256, n_threads=1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.kill(program(two), signal.SIGSTOP)
    for delay in (0.5, 1):
        threading.Timer(delay, os.kill, [os.getpid(), signal.SIGINT]).start()
    try:
        llm.complete("hello", max_tokens=8)
    except KeyboardInterrupt as error:
        print(error.__context__)
    os.kill(program(two), signal.SIGKILL)  # which the thread that is stuck notices
    time.sleep(1)
    print(model.closed, llm.ctx.closed, attempt(LlamaContext, model), attempt(local.decode, [1, 2]))


def used():
    ctx = LlamaContext(model, n_ctx=256, n_threads=1)
    ctx.decode([1, 2, 3])
    state = ctx.to_bytes()
    one.close()
    two.close()
    print(eval(code[0], globals(), {"ctx": ctx, "state": state}), attempt(local.decode, [1, 2]))


def waited_for():
    three = LlamaRpcServer(n_threads=1)
    ctx = LlamaContext(model, n_ctx=256, n_threads=1)
    calls = [
        lambda: LlamaModel.from_file(path, rpc_servers=[three.endpoint]),
        lambda: ctx.decode([1, 2]),
    ]
    found = []
    threads = [
        threading.Thread(target=lambda c=call: found.append(attempt(c)), daemon=True)
        for call in calls
    ]

    def progress(done):
        if threads[0].ident is None:
            for thread in threads:
                thread.start()
            time.sleep(0.5)  # until they wait for this load
            two.close()

    print(attempt(LlamaModel.from_file, path, rpc_servers=servers, progress=progress))
    for thread in threads:
        thread.join(20)
    print(found)


ctx: LlamaContext


def closed():
    global ctx
    ctx = LlamaContext(model, n_ctx=256, n_threads=1)
    ctx.decode([1, 2, 3])
    one.close()
    two.close()
    exec(code[0])
    print(attempt(local.decode, [1, 2]))


globals()[case]()
