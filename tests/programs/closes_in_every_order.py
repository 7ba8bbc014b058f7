"""Closes or forgets a model, a context, a sampler and a view in every order: MODEL HOW."""

import gc
import itertools
import sys

from llama_cpp import LlamaContext, LlamaModel, LlamaSampler

for order in itertools.permutations(range(4)):
    model = LlamaModel.from_file(sys.argv[1])
    ctx = LlamaContext(model, n_ctx=32)
    sampler = LlamaSampler.chain().grammar(model, "root ::= .*").top_k(40)
    sampler.greedy()
    ctx.decode([1, 2, 3])
    sampler.sample(ctx)
    view = ctx.logits()
    before = bytes(view)
    things = [model, ctx, sampler, view]
    del model, ctx, sampler, view
    for i in order:
        assert things[3] is None or bytes(things[3]) == before
        if sys.argv[2] == "close" and i != 3:
            things[i].close()
        else:
            things[i] = None
        gc.collect()
        if things[1] is not None and 1 not in order[: order.index(i) + 1]:
            things[1].decode([4])  # the model that it needs may be closed by now
            before = bytes(things[1].logits())
print("done")
