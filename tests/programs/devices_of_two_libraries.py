"""Loads a model on a device of another library: LIBRARY MODEL."""

import sys

from llama_cpp import LlamaLibrary, LlamaModel, devices

ours, theirs = devices(), devices(LlamaLibrary(sys.argv[1]))
print(ours[0].name == theirs[0].name, ours == theirs)
try:
    LlamaModel.from_file(sys.argv[2], devices=theirs)
except ValueError as error:
    print(error)
