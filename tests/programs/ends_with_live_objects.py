"""Ends while the named objects live: MODEL NAMES [cycle]."""

import sys
import warnings

warnings.simplefilter("error")
from llama_cpp import LlamaContext, LlamaModel, LlamaSampler

names = sys.argv[2].split(",")
made = {}
sampler = LlamaSampler.chain()
model = LlamaModel.from_file(sys.argv[1], progress=lambda done: True)
ctx = LlamaContext(model, n_ctx=32)
sampler.grammar(model, "root ::= .*").top_k(40).greedy()
ctx.decode([1, 2, 3])
sampler.sample(ctx)
made.update(model=model, ctx=ctx, sampler=sampler, view=ctx.logits())
# A cycle is not collected before the process ends.
made["itself"] = made
globals().update({name: made[name] for name in names})
sys.keep = made if "cycle" in sys.argv else None
