"""Raises a signal as the thread of a guarded call starts: KIND."""

import signal
import sys
import threading
import time

from llama_cpp import LlamaLibrary
from llama_cpp.native.calls import guarded

if sys.argv[1] == "own":

    def handler(*_):
        raise ZeroDivisionError

    signal.signal(signal.SIGINT, handler)
start = threading.Thread.start


def interrupted(self):
    start(self)
    signal.raise_signal(signal.SIGINT)


threading.Thread.start = interrupted
ended = []


def call():
    time.sleep(0.3)
    ended.append(True)


try:
    guarded(LlamaLibrary.default(), call, "it")
except (KeyboardInterrupt, ZeroDivisionError) as error:
    print(type(error).__name__, ended)
