"""Sends Ctrl-C during a call in asyncio: MODEL."""

import asyncio
import os
import signal
import sys
import threading

from llama_cpp import AsyncLlama, Llama

llama = Llama(sys.argv[1], n_ctx=4096, n_batch=2048)


async def main():
    llm = AsyncLlama(llama)
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    await llm.complete([5] * 4000)


try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted")
print(len(llama.complete([5, 6, 7], max_tokens=2).tokens) <= 2)
