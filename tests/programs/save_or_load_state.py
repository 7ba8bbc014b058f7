"""Saves a sequence or loads it, and prints the tokens that follow: MODEL FILE save|load."""

import json
import sys

from llama_cpp import LlamaContext, LlamaModel, LlamaSampler

greedy = LlamaSampler.chain().greedy()


def go_on(seq):
    tokens = []
    for _ in range(8):
        tokens.append(seq.sample(greedy))
        seq.extend(tokens[-1:])
    return tokens


with LlamaModel.from_file(sys.argv[1]) as model, LlamaContext(model, n_ctx=256) as ctx:
    if sys.argv[3] == "save":
        seq = ctx.sequence()
        seq.extend(range(270, 300))
        seq.save(sys.argv[2])
    else:
        seq = ctx.sequence.load(sys.argv[2])
    seq.set(seq.tokens)
    print(json.dumps(go_on(seq)))
