"""Prints 16 tokens of a model as JSON, or why the library is refused: MODEL."""

import json
import sys

from llama_cpp import LlamaBatch, LlamaContext, LlamaLibrary, LlamaModel, LlamaSampler
from llama_cpp.errors import LlamaABIError


def generate(path):
    model = LlamaModel.from_file(path, n_gpu_layers=0)
    with LlamaContext(model, n_ctx=64, n_threads=2, n_threads_batch=2) as ctx:
        sampler = LlamaSampler.chain().greedy()
        batch = LlamaBatch(model.tokenize("The three most important things in life are"))
        tokens = []
        while len(tokens) < 16:
            ctx.decode(batch)
            tokens.append(sampler.sample(ctx))
            batch = LlamaBatch(tokens[-1:])
        return tokens


try:
    LlamaLibrary.default()
except LlamaABIError as error:
    print(json.dumps({"refused": str(error)}))
else:
    print(json.dumps({"tokens": generate(sys.argv[1])}))
