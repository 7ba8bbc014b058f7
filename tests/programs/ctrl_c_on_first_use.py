"""Interrupts the first use of a function, where its types are made."""

import os
import signal

from llama_cpp import _raw


def interrupted():
    os.kill(os.getpid(), signal.SIGINT)


try:
    _raw.Function("llama_free: (interrupted(),)", vars()).restype  # noqa: B018
except KeyboardInterrupt:
    print("interrupted")
