"""Makes the largest context that the memory allows: MODEL."""

import resource
import sys

from llama_cpp import LlamaContext, LlamaModel
from llama_cpp.errors import LlamaContextError

model = LlamaModel.from_file(sys.argv[1])
keywords = {"n_ctx": 1 << 19, "n_batch": 64, "n_ubatch": 64, "n_threads": 1, "n_threads_batch": 1}
LlamaContext(model, n_ctx=256, n_batch=64, n_ubatch=64, n_threads=1, n_threads_batch=1).decode([1])
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 150_000_000,) * 2)
try:
    LlamaContext(model, **keywords)
except LlamaContextError:
    print("refused")
ctx = LlamaContext(model, fit=True, **keywords)
ctx.decode([1, 2, 3])
print(ctx.n_ctx)
