"""A sampler closes the context that it samples from: MODEL."""

import sys

from llama_cpp import LlamaContext, LlamaModel, LlamaSampler


class Closes:
    def apply(self, candidates):
        ctx.close()
        model.close()


model = LlamaModel.from_file(sys.argv[1])
ctx = LlamaContext(model, n_ctx=64)
ctx.decode(model.tokenize("Hello"))
print(LlamaSampler.chain().custom(Closes()).penalties(model).top_k(5).dist(1).sample(ctx))
