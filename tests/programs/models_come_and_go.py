"""Prints by how many megabytes 15 models make the process grow: MODEL."""

import resource
import sys

from llama_cpp import LlamaModel


def cycle():
    with LlamaModel.from_file(sys.argv[1], vocab_only=True) as model:
        model.token_to_bytes(5)


def used():
    pages = int(open("/proc/self/statm").read().split()[1])
    return pages * resource.getpagesize() / 1e6


for _ in range(5):
    cycle()
before = used()
for _ in range(15):
    cycle()
print(used() - before)
