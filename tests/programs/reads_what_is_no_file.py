"""Reads from a device or a pipe: CALL MODEL PATH."""

import os
import sys

from llama_cpp import LlamaContext, LlamaError, LlamaModel

what, model, p = sys.argv[1:]
if p.endswith("pipe"):
    os.mkfifo(p)
model = LlamaModel.from_file(model)
ctx = LlamaContext(model, n_ctx=256)
try:
    eval(what)
except (LlamaError, OSError, ValueError) as error:
    print(type(error).__name__)
