"""Loads states with a bit flipped or an end cut off: MODEL."""

import random
import sys

from llama_cpp import LlamaContext, LlamaModel
from llama_cpp.errors import LlamaStateError

model = LlamaModel.from_file(sys.argv[1])
ctx = LlamaContext(model, n_ctx=512, n_seq_max=2, n_ubatch=32, swa_full=False)
kept = ctx.sequence()
kept.extend(range(270, 300))
state = {"sequence": kept.to_bytes(), "context": ctx.to_bytes()}
kept.close()
ctx.decode(range(300, 340))
load = {"sequence": ctx.sequence.from_bytes, "context": ctx.restore}
chance = random.Random(1)
n = 0
for kind, good in state.items():
    offsets = [*range(150), *range(len(good) - 40, len(good))]
    offsets += [chance.randrange(len(good)) for _ in range(300)]
    for at in offsets:
        flipped = bytearray(good)
        flipped[at] ^= 1 << chance.randrange(8)
        for bad in (flipped, good[:at]):
            try:
                load[kind](bad)
            except LlamaStateError:
                n += 1
            else:
                sys.exit(f"{kind}: {at} was not noticed")
    assert ctx.memory.seq_pos_max(0) == 39, kind
    for bad in (good + b"x", good + good):
        try:
            load[kind](bad)
        except LlamaStateError:
            n += 1
print(n)
