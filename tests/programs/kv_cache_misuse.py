"""Runs lines of code on a context, and prints the errors: MODEL CODES."""

import json
import sys

from llama_cpp import LlamaContext, LlamaModel, LlamaSampler  # noqa: F401  # for the lines


def nine():
    """A sequence of nine tokens."""
    made = ctx.sequence()
    made.extend(range(270, 279))
    return made


model = LlamaModel.from_file(sys.argv[1])
for code in json.loads(sys.argv[2]):
    ctx = LlamaContext(model, n_ctx=1024, n_ubatch=32, n_seq_max=3, swa_full=False)
    if ctx.core.has_memory:
        ctx.decode([1, *range(270, 279)])
    seq = None
    said = [None, None]
    try:
        exec(code)
    except Exception as error:
        said = [type(error).__name__, str(error)]
    if not ctx.closed and ctx.core.has_memory and said != [None, None]:
        assert ctx.memory.seq_pos_max() == 9, code
    if not ctx.closed and seq is not None and not seq.closed:
        assert len(seq) == ctx.memory.seq_pos_max(seq.id) + 1, code
        seq.extend([300])
    print(json.dumps(said), flush=True)
