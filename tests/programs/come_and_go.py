"""Prints by how many megabytes 15 models or 200 contexts make the process grow: MODEL KIND."""

import resource
import sys

from llama_cpp import LlamaContext, LlamaModel

path, kind = sys.argv[1:]


def of_model(_):
    with LlamaModel.from_file(path, vocab_only=True) as model:
        model.token_to_bytes(5)


def of_context(close):
    ctx = LlamaContext(kept, n_ctx=256)
    ctx.decode([1, 2, 3])
    view = ctx.logits()
    if close:
        ctx.close()
    del view


def used():
    resident, of_files = map(int, open("/proc/self/statm").read().split()[1:3])
    return (resident - of_files) * resource.getpagesize() / 1e6


if kind == "models":
    cycle, first, more = of_model, 5, 15
else:
    kept = LlamaModel.from_file(path)
    cycle, first, more = of_context, 20, 200
for i in range(first):
    cycle(i % 2)
before = used()
for i in range(more):
    cycle(i % 2)
print(used() - before)
