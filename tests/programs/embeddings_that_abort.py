"""Fails an assertion in a first decode with embeddings, then uses another context: MODEL."""

import sys

from llama_cpp import LlamaContext, LlamaModel
from llama_cpp.errors import LlamaContextError

model = LlamaModel.from_file(sys.argv[1])
library = model.library
with LlamaContext(model, n_ctx=64, n_threads=1) as ctx:
    ctx.decode([1, 2])
    ctx.embeddings_enabled = True
    ctx.core.decode = lambda *_: library.ggml_abort(b"file.c", 1, b"on purpose")
    for _ in range(2):
        try:
            ctx.decode([3])
        except LlamaContextError as error:
            print(error)
    assert ctx.closed
with LlamaContext(model, n_ctx=64, n_threads=1, embeddings=True) as ctx:
    ctx.decode([1, 2])
    print(len(ctx.embeddings()))
