"""Writes to a named pipe, and prints the refusal: MODEL PIPE CODE."""

import os
import stat
import sys

from llama_cpp import LlamaContext, LlamaModel, quantize  # noqa: F401  # for the code

m, p, code = sys.argv[1:]
os.mkfifo(p)
model = LlamaModel.from_file(m)
ctx = LlamaContext(model, n_ctx=256)
try:
    eval(code)
except ValueError as error:
    print(error)
assert stat.S_ISFIFO(os.stat(p).st_mode)
