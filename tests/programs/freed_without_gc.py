"""Loads a model eight times without the garbage collector: MODEL."""

import gc
import sys

from llama_cpp import LlamaContext, LlamaModel

gc.disable()


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


sizes = []
for _ in range(8):
    model = LlamaModel.from_file(sys.argv[1])
    ctx = LlamaContext(model, n_ctx=64)
    del ctx, model
    sizes.append(resident())
print(sizes[-1] - sizes[2] < 40e6 or sizes)  # the model has 98 MB
