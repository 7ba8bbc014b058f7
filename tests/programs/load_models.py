"""Loads models, and prints the error of each: PATH ..."""

import sys

from llama_cpp import LlamaModel

for path in sys.argv[1:]:
    try:
        LlamaModel.from_file(path)
        print("loaded")
    except Exception as error:
        print(type(error).__name__, str(error).replace("\n", " "))
