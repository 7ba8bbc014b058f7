"""Ends while a daemon thread decodes with an adapter: MODEL LORA."""

import sys
import threading
import time

from llama_cpp import LlamaContext, LlamaModel

model = LlamaModel.from_file(sys.argv[1])
model.library.llama_adapter_lora_free = lambda handle: print("freed", flush=True)
ctx = LlamaContext(model, n_ctx=1 << 15, n_threads=1, n_threads_batch=1)
lora = model.load_lora(sys.argv[2])
ctx.set_loras([lora])
ctx.decode([1])
# For many seconds: between two calls the thread is not computing.
threading.Thread(target=ctx.decode, args=([1] * 32_000,), daemon=True).start()
time.sleep(0.3)
