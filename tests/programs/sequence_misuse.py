"""Runs lines of code on a sequence, and prints the errors: MODEL CODES."""

import json
import sys

from llama_cpp import LlamaContext, LlamaModel, LlamaSampler  # noqa: F401  # for the lines

model = LlamaModel.from_file(sys.argv[1])
for code in json.loads(sys.argv[2]):
    ctx = LlamaContext(model, n_ctx=256, n_seq_max=2)
    seq = ctx.sequence()
    seq.extend(range(270, 279))
    said = [None, None]
    try:
        exec(code)
    except Exception as error:
        said = [type(error).__name__, str(error)]
    if not ctx.closed and not seq.closed:
        assert len(seq) == ctx.memory.seq_pos_max(seq.id) + 1, code
        seq.extend([300])
    print(json.dumps(said), flush=True)
