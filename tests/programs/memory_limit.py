"""Evaluates a call with little memory, and again with all of it: CALL BIG SMALL ROOM."""

import resource
import sys

from llama_cpp import LlamaContext, LlamaError, LlamaModel

what, big, small, room = sys.argv[1:]


def load(path=big, **keywords):
    return LlamaModel.from_file(path, **keywords)


def context():
    return LlamaContext(model, n_ctx=1 << 16, n_threads=1, n_threads_batch=1)


model = load(small)
with LlamaContext(model, n_ctx=256, n_threads=1, n_threads_batch=1) as ctx:
    ctx.decode([1])  # all that is loaded late is there now
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + int(room), resource.RLIM_INFINITY))
try:
    eval(what)
except LlamaError as error:
    print(type(error).__name__)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
eval(what)
print("later")
