"""Loads models one after the other, and then side by side: PATH ..."""

import sys
import threading

from llama_cpp import LlamaModel, LlamaModelError


def load(path):
    try:
        LlamaModel.from_file(path)
        print("loaded\n", end="")  # at once: threads may write between a line and its end
    except LlamaModelError as error:
        print(f"{error}\n", end="")


for path in sys.argv[1:]:
    load(path)
threads = [threading.Thread(target=load, args=(path,)) for path in sys.argv[1:]]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
