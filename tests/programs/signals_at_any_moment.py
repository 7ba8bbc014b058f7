"""Sends signals during loads, decodes and saves: MODEL FOLDER KIND COUNT."""

import os
import random
import signal
import sys
import threading
import time

from llama_cpp import Llama, LlamaModel

path, folder, kind, count = *sys.argv[1:4], int(sys.argv[4])


class Alarm(Exception):
    pass


number, expected = signal.SIGINT, KeyboardInterrupt
if kind == "own":
    number, expected = signal.SIGALRM, Alarm

    def handler(*_):
        raise Alarm

    signal.signal(number, handler)


def unraisable(what):
    # Python drops a handler's exception while an object is freed. Ctrl-C must not be lost that way;
    # only its exception tells a program's own handler from a fault.
    if kind != "own" or what.exc_type is not Alarm:
        raise SystemExit(f"{what.exc_value!r} in {what.object!r}")
    forgotten.set()


sys.unraisablehook = unraisable
forgotten = threading.Event()
params = {"n_threads": 1, "n_threads_batch": 1}
llm = Llama(path, n_ctx=512, **params)
prompt = "the cat sat on the mat"


def tokens():
    return llm.complete(prompt, max_tokens=8, temperature=0).tokens


before = tokens()


def load():
    LlamaModel.from_file(path).close()


def decode():
    llm.complete("hello world in time " * 60, max_tokens=40, cache_prompt=False)


def save():
    llm.ctx.save(folder + "/state")
    llm.model.save(folder + "/model.gguf")


sent = threading.Event()
go = threading.Event()


def send():
    while True:
        go.wait()
        go.clear()
        time.sleep(random.random() * 0.03)
        sent.set()
        os.kill(os.getpid(), number)


threading.Thread(target=send, daemon=True).start()
for i in range(count):
    work = (load, decode, save)[i % 3]
    try:
        go.set()
        while not sent.is_set():
            work()
        for _ in range(6000):  # not Event.wait, which may lose its lock to a handler that raises
            if forgotten.is_set():
                break
            time.sleep(0.01)
        else:
            raise SystemExit("it was lost")
    except expected:
        pass
    sent.clear()
    forgotten.clear()
    got = tokens()
    if got != before:
        raise SystemExit(f"{work.__name__}: {got} in place of {before}")
print("done")
