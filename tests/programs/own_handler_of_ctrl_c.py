"""Sends Ctrl-C, for which the program has a handler, during a load: MODEL."""

import json
import os
import signal
import sys

from llama_cpp import LlamaModel

came = []


def handler(number, frame):
    came.append(number)


signal.signal(signal.SIGINT, handler)


def progress(done):
    if done == 0:
        os.kill(os.getpid(), signal.SIGINT)


LlamaModel.from_file(sys.argv[1], progress=progress)
print(json.dumps(came), signal.getsignal(signal.SIGINT) is handler)
