"""Saves a state or the model until it is killed: KIND MODEL TARGET."""

import sys

from llama_cpp import LlamaContext, LlamaModel

what, model, target = sys.argv[1:]
model = LlamaModel.from_file(model)
ctx = LlamaContext(model, n_ctx=256, n_threads=1, n_threads_batch=1)
ctx.decode([1, 2, 3])
print("ready", flush=True)
while True:
    if what == "state":
        ctx.save(target, [1, 2, 3])
    else:
        model.save(target)
