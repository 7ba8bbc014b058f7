"""Loads a model with a logging handler that raises: MODEL."""

import logging
import sys

from llama_cpp import LlamaModel


class Handler(logging.Handler):
    def emit(self, record):
        raise LookupError("from the handler")


logging.getLogger("llama_cpp").addHandler(Handler())
logging.getLogger("llama_cpp").setLevel(logging.INFO)
try:
    LlamaModel.from_file(sys.argv[1])
except LookupError as error:
    print(error)
