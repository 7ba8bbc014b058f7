"""Sends Ctrl-C at eight times while many prompts are computed: MODEL."""

import itertools
import os
import signal
import sys
import threading

from llama_cpp import Llama

llm = Llama(sys.argv[1], n_ctx=1024, n_seq_max=4, n_threads=1)
alone = llm.complete("hello", max_tokens=8, temperature=0).text
for i in range(8):
    timer = threading.Timer(0.05 + 0.011 * i, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        for _ in llm.generate_many(itertools.cycle(["hello", "the cat"]), max_tokens=20):
            pass
    except KeyboardInterrupt:
        print("interrupted", end=" ")
    done = llm.complete_many(["hello"] * 5, max_tokens=8, temperature=0)
    assert [one.text for one in done] == [alone] * 5, done
print("usable")
