"""Saves a model that the library cannot save, twice: MODEL TARGET."""

import os
import sys

from llama_cpp import LlamaContext, LlamaModel

model = LlamaModel.from_file(sys.argv[1])
for _ in range(2):
    try:
        model.save(sys.argv[2])
    except Exception as error:
        print(type(error).__name__, error)
with LlamaContext(model, n_ctx=64, n_threads=1) as ctx:
    ctx.encode([1, 2, 3])
print(os.listdir(os.path.dirname(sys.argv[2])))
