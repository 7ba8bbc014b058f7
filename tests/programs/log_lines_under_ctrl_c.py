"""Reports log lines that come while Ctrl-C is not held back: MODEL LORA FOLDER."""

import signal
import sys

from llama_cpp import Llama, LlamaContext, LlamaModel, LlamaSampler, devices
from llama_cpp.native import log as _log

path, lora, folder = sys.argv[1:]
lines = 0


def profile(frame, event, _):
    global lines
    if event == "call" and frame.f_code is _log._receive.__code__:
        lines += 1
        held = signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        if not held and not _log._threads.own.listeners:
            print(frame.f_locals["text"], frame.f_back.f_code.co_name)


signal.signal(signal.SIGINT, signal.default_int_handler)
sys.setprofile(profile)
devices()
with LlamaModel.from_file(path) as model:
    ctx = LlamaContext(model, n_ctx=256, n_seq_max=3, n_threads=1, n_threads_batch=1)
    ctx.decode(range(270, 330))
    ctx.n_threads = 2
    ctx.causal_attn = False
    ctx.causal_attn = True
    ctx.embeddings_enabled = True
    ctx.embeddings_enabled = False
    ctx.set_loras([model.load_lora(lora)])
    ctx.restore(ctx.to_bytes())
    ctx.save(folder + "/state")
    with ctx.sequence() as kept:
        kept.extend([1, 2, 3])
        ctx.sequence.from_bytes(kept.to_bytes()).close()
        kept.fork().close()
        kept.shift(1, 1)
    ctx.memory.seq_rm(0, 0, 5)
    ctx.memory.clear()
    ctx.decode([1])
    with LlamaSampler.chain(model.library).greedy() as sampler:
        sampler.sample(ctx)
    ctx.warm_up()
    ctx.perf  # noqa: B018
    ctx.close()
    model.save(folder + "/model.gguf")
with Llama(path, n_ctx=128, n_threads=1) as llm:
    llm.complete("the cat", max_tokens=200, temperature=0)
    list(llm.generate("the dog", max_tokens=4))
print(lines > 50)
