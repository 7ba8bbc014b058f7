"""Sends Ctrl-C while an object is freed, and then sleeps."""

import os
import signal
import time

from llama_cpp.native.resource import Resource

# Ctrl-C is held until the object is freed, and by then the sleep has begun.
owned = Resource(1, lambda _: os.kill(os.getpid(), signal.SIGINT))
begin = time.monotonic()
try:
    del owned
    time.sleep(30)
except KeyboardInterrupt:
    print(time.monotonic() - begin < 10)
