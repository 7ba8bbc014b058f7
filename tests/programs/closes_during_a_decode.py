"""Closes a context while another thread decodes with it: MODEL."""

import sys
import threading
import time

from llama_cpp import LlamaContext, LlamaModel

model = LlamaModel.from_file(sys.argv[1])
ctx = LlamaContext(model, n_ctx=2048, n_batch=1024)
thread = threading.Thread(target=ctx.decode, args=([1] * 1024,))
thread.start()
while not ctx.core.running:
    time.sleep(0.001)
ctx.close()
model.close()
thread.join()
print("done")
