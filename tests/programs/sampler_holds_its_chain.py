"""A sampler and its chain hold each other when the process ends: MODEL."""

import sys

from llama_cpp import LlamaContext, LlamaModel, LlamaSampler


class Plain:
    def apply(self, candidates):
        pass


model = LlamaModel.from_file(sys.argv[1])
ctx = LlamaContext(model, n_ctx=64)
ctx.decode(model.tokenize("Hello"))
plain = Plain()
plain.chain = LlamaSampler.chain().custom(plain).greedy()
plain.chain.sample(ctx)
