"""Prints the bytes that loading a vocabulary has left to be given back: MODEL."""

import ctypes
import sys

from llama_cpp import LlamaModel


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


model = LlamaModel.from_file(sys.argv[1], vocab_only=True)
before = resident()
ctypes.CDLL(None).malloc_trim(0)
print(before - resident())
