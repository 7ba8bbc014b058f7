"""Prints by how many megabytes 200 contexts make the process grow: MODEL."""

import resource
import sys

from llama_cpp import LlamaContext, LlamaModel

model = LlamaModel.from_file(sys.argv[1])


def cycle(close):
    ctx = LlamaContext(model, n_ctx=256)
    ctx.decode([1, 2, 3])
    view = ctx.logits()
    if close:
        ctx.close()
    del view


def used():
    pages = int(open("/proc/self/statm").read().split()[1])
    return pages * resource.getpagesize() / 1e6


for i in range(20):
    cycle(i % 2)
before = used()
for i in range(200):
    cycle(i % 2)
print(used() - before)
