"""Closes or forgets a model, an adapter and a context in every order: MODEL LORA."""

import gc
import itertools
import sys

from llama_cpp import LlamaContext, LlamaModel

for order in itertools.permutations(range(3)):
    for forget in (False, True):
        model = LlamaModel.from_file(sys.argv[1])
        lora = model.load_lora(sys.argv[2])
        ctx = LlamaContext(model, n_ctx=64, n_threads=1)
        ctx.set_loras([lora])
        ctx.decode([1, 2, 3])
        things = [model, lora, ctx]
        del model, lora, ctx
        for i in order:
            if not forget:
                things[i].close()
            things[i] = None
            gc.collect()
# at the end of the process, in whatever order Python has then
model = LlamaModel.from_file(sys.argv[1])
ctx = LlamaContext(model, n_ctx=64, n_threads=1)
lora = model.load_lora(sys.argv[2])
ctx.set_loras([lora])
print("done")
