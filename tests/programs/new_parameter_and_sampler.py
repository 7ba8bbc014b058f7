"""Uses a context parameter and a sampler that only a changed llama.cpp has: LIBRARY MODEL."""

import ctypes
import inspect
import sys
import typing

from llama_cpp import LlamaContext, LlamaLibrary, LlamaModel, LlamaSampler, _params

library = LlamaLibrary(sys.argv[1])
last = ctypes.c_int32.in_dll(ctypes.CDLL(sys.argv[1]), "llama_last_n_foresight")
model = LlamaModel.from_file(sys.argv[2], library=library)
LlamaContext(model, n_ctx=64)
print("default", last.value)
ctx = LlamaContext(model, n_ctx=64, n_foresight=3)
print("given", last.value)
try:
    LlamaContext(model, n_ctx=64, n_foresigth=3)
except TypeError as error:
    print(error)
print(typing.get_type_hints(_params.LlamaContextParams)["n_foresight"])
print(inspect.signature(LlamaSampler.steady))
ctx.decode(model.tokenize("Hello"))
chain = LlamaSampler.chain(library).steady(token=99).greedy()
print(chain, chain.sample(ctx))
