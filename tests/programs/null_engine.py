"""Generates with the engine that computes nothing: LIBRARY MODEL."""

import sys

from llama_cpp import Llama, LlamaLibrary, LlamaModel

model = LlamaModel.from_file(sys.argv[2], library=LlamaLibrary(sys.argv[1]))
with Llama(model, n_ctx=512) as llm:
    done = llm.complete("hello", max_tokens=40, temperature=0, stop="###")
assert len(done.tokens) == 40
assert "é" in done.text  # it comes in two pieces
assert " word word" in done.text
print("done")
