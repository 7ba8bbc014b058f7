"""Loads a file as libllama, and prints the error: PATH."""

import sys

from llama_cpp import LlamaLibrary

try:
    LlamaLibrary(sys.argv[1])
except Exception as error:
    print(type(error).__name__, error, sep="\n")
