"""Runs lines of code on a context, and prints the errors: MODEL CODES."""

import json
import sys

from llama_cpp import LlamaContext, LlamaModel

model = LlamaModel.from_file(sys.argv[1])
for code in json.loads(sys.argv[2]):
    ctx = LlamaContext(model, n_ctx=1024, n_ubatch=32, n_seq_max=3, swa_full=False)
    if ctx.core.has_memory:
        ctx.decode([1, *range(270, 279)])
    said = [None, None]
    try:
        exec(code)
    except Exception as error:
        said = [type(error).__name__, str(error)]
    if not ctx.closed and ctx.core.has_memory and said != [None, None]:
        assert ctx.memory.seq_pos_max() == 9, code
    print(json.dumps(said), flush=True)
