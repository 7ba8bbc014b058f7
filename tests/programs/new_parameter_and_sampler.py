"""Uses a context parameter, a sampler, and a field and an option of the server that only a changed
llama.cpp has: LIBRARY MODEL."""

import ctypes
import inspect
import sys
import typing

from llama_cpp import (
    LlamaClient,
    LlamaContext,
    LlamaLibrary,
    LlamaModel,
    LlamaSampler,
    LlamaServer,
    _params,
)
from llama_cpp.errors import LlamaServerStartError
from llama_cpp.server._fields import SamplingParams
from llama_cpp.server._options import ServerOptions

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

for options in ({"dream_depth": 3}, {"dream_dept": 3}, {"dream_depth": 0}):
    try:
        LlamaServer(sys.argv[2], program="/bin/echo", **options)
    except LlamaServerStartError as error:
        print(" ".join(error.log.split()[-2:]))
    except (TypeError, ValueError) as error:
        print(error)
try:
    LlamaClient("http://127.0.0.1:1").complete("a", dream=1.5)
except ValueError as error:
    print(error)
hints = typing.get_type_hints(ServerOptions) | typing.get_type_hints(SamplingParams)
print(f"{hints['dream_depth']}, {hints['dream']}")
