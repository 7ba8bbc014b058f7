"""Sends Ctrl-C to the main thread, which waits for its text among other threads: MODEL."""

import os
import signal
import sys
import threading

from llama_cpp import Llama

llm = Llama(sys.argv[1], n_ctx=1024, n_seq_max=3, n_threads=1, type_k=0, type_v=0)
options = {"max_tokens": 24, "temperature": 0, "ignore_eos": True}
alone = llm.complete("hello", **options).text  # type: ignore[arg-type]
found: list[str] = []


def work() -> None:
    for _ in range(20):
        found.append(llm.complete("hello", **options).text)  # type: ignore[arg-type]


threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads:
    thread.start()
for i in range(4):
    timer = threading.Timer(0.05 + 0.017 * i, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        for _ in llm.generate("the cat", max_tokens=900, ignore_eos=True):
            pass
        while True:
            timer.join()
    except KeyboardInterrupt:
        print("interrupted", end=" ")
for thread in threads:
    thread.join()
print("others", len(found), {*found} == {alone})
