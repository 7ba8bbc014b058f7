"""Makes 400 random chains run in a graph: each works or is refused: MODEL."""

import random
import sys

from llama_cpp import LlamaContext, LlamaModel, LlamaSampler
from llama_cpp.errors import LlamaSamplerError

model = LlamaModel.from_file(sys.argv[1])
n = model.vocab.n_tokens
chance = random.Random(5)


def some(*values):
    return chance.choice(values)


ADD = [
    lambda c: c.top_k(some(0, 1, 2, 5, 9, n, n + 1)),
    lambda c: c.top_p(some(0.0, 0.5, 1.0)),
    lambda c: c.min_p(some(0.0, 0.1, 1.0)),
    lambda c: c.temp(some(0.0, 0.5, 1.0)),
    lambda c: c.temp_ext(some(0.0, 0.8), some(0.0, 0.5), 1.0),
    lambda c: c.penalties(model, some(0, 1, 64, n + 9), some(1.0, 1.2), some(0.0, 0.3), 0.1),
    lambda c: c.logit_bias(model, some({}, {3: 1.0, n - 1: float("-inf")})),
    lambda c: c.typical(0.9),
    lambda c: c.xtc(0.5, 0.1, seed=1),
]
END = [lambda c: c.dist(1), lambda c: c.greedy(), lambda c: c.mirostat_v2(1)]
made = refused = 0
for _ in range(400):
    chain = LlamaSampler.chain()
    for add in chance.choices(ADD, k=some(0, 1, 2, 3, 4, 5, 6)):
        add(chain)
    chance.choice(END)(chain)
    print(chain, chain._numbers, file=sys.stderr, flush=True)
    try:
        with LlamaContext(model, n_ctx=64, n_threads=1, samplers={0: chain}) as ctx:
            ctx.decode(model.tokenize("the cat"))
            for _ in range(3):
                ctx.decode([chain.sample(ctx)])
        made += 1
    except LlamaSamplerError as error:
        print(error, file=sys.stderr)
        refused += 1
print(made > 100 and refused > 100)
