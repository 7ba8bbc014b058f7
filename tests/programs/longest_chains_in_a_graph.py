"""Runs the longest chains that are allowed in a graph: MODEL."""

import sys

from llama_cpp import LlamaContext, LlamaModel, LlamaSampler

model = LlamaModel.from_file(sys.argv[1])
for add in (
    lambda c: c.penalties(model, 64, 1.01, 0.1, 0.1),
    lambda c: c.min_p(0.01),
    lambda c: c.temp_ext(0.9, 0.1, 1.0),
):
    chain = LlamaSampler.chain().top_k(5).top_p(0.9)
    for _ in range(29):
        add(chain)
    chain.dist(1)
    with LlamaContext(model, n_ctx=64, n_threads=1, samplers={0: chain}) as ctx:
        ctx.decode([1])
        print(chain.sample(ctx) >= 0)
