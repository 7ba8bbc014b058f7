"""Loads adapters while two threads compute with others: MODEL LORA."""

import sys
import threading

from llama_cpp import LlamaContext, LlamaModel

model = LlamaModel.from_file(sys.argv[1])
stop = threading.Event()
failed = []


def decode():
    try:
        ctx = LlamaContext(model, n_ctx=64, n_threads=1, n_threads_batch=1)
        lora = model.load_lora(sys.argv[2])
        i = 0
        while not stop.is_set():
            i += 1
            ctx.set_loras({lora: i})
            ctx.memory.seq_rm()
            ctx.decode([1, 2, 3])
    except BaseException as error:
        failed.append(repr(error))


threads = [threading.Thread(target=decode) for _ in range(2)]
for thread in threads:
    thread.start()
for _ in range(150):
    model.load_lora(sys.argv[2])
stop.set()
for thread in threads:
    thread.join()
print(failed)
