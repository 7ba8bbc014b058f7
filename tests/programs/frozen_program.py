"""The source of a PyInstaller program: text in this process, and a server that ends with it."""

import sys

from llama_cpp import Llama
from llama_cpp.agent import LlamaServer

if __name__ == "__main__":
    with Llama(sys.argv[1], n_ctx=256) as llm:
        print(repr(llm.complete("The capital of France is", max_tokens=8, temperature=0).text))
    with LlamaServer(sys.argv[1], ctx_size=256) as server:
        print(server.port)
