"""Runs a line of code with llama-cpp-python, and prints how it ends: MODEL CODES."""

# ruff: noqa: F401, F403, F405  # the names are for the code
import json
import os
import sys

import numpy as np

from llama_cpp import *
from llama_cpp import llama_cpp as C

M = sys.argv[1]


def load(**keywords):
    return Llama(M, **{"n_ctx": 64, "n_threads": 1, "verbose": False, **keywords})


[code] = json.loads(sys.argv[2])
try:
    exec(code)
except BaseException as error:
    print("raised", type(error).__name__, error, flush=True)
else:
    print("nothing", flush=True)
