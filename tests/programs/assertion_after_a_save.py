"""Fails an assertion after a save that has caught one: MODEL TARGET."""

import sys

from llama_cpp import LlamaModel

model = LlamaModel.from_file(sys.argv[1])
try:
    model.save(sys.argv[2])
except Exception as error:
    print(type(error).__name__, flush=True)
model.library.ggml_abort(b"file.c", 1, b"on purpose")
