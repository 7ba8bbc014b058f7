"""Ends while a daemon thread decodes: MODEL."""

import sys
import threading
import time

from llama_cpp import LlamaContext, LlamaModel

ctx = LlamaContext(LlamaModel.from_file(sys.argv[1]), n_ctx=4096, n_batch=512)


def work():
    while True:
        ctx.decode([1] * 512)


threading.Thread(target=work, daemon=True).start()
time.sleep(0.3)
