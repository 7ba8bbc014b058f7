"""Sends Ctrl-C just before a long decode: MODEL."""

import os
import signal
import sys

from llama_cpp import LlamaContext, LlamaModel
from llama_cpp.native import interrupt as _interrupt

ctx = LlamaContext(LlamaModel.from_file(sys.argv[1]), n_ctx=256, n_batch=32)
decode, watched = ctx.core.decode, _interrupt._watched
codes = []


def counted(*arguments):
    codes.append(decode(*arguments))
    return codes[-1]


def interrupted():
    os.kill(os.getpid(), signal.SIGINT)
    return watched()


ctx.core.decode, _interrupt._watched = counted, interrupted
try:
    ctx.decode([1] * 200)
except KeyboardInterrupt:
    print("interrupted", codes)
_interrupt._watched = watched
ctx.decode([1] * 200)
print("usable", codes)
