"""Sends Ctrl-C during a long decode: MODEL."""

import os
import signal
import sys
import threading

from llama_cpp import LlamaContext, LlamaModel

ctx = LlamaContext(LlamaModel.from_file(sys.argv[1]), n_ctx=4096, n_batch=2048)
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    ctx.decode([1] * 2000)
except KeyboardInterrupt:
    print("interrupted")
ctx.decode([1])
print("usable")
