"""Sends Ctrl-C during a load: MODEL silent|logged DELAY."""

import logging
import os
import signal
import sys
import threading
import time

from llama_cpp import LlamaContext, LlamaLibrary, LlamaModel

if sys.argv[2] == "logged":
    logging.basicConfig(level=logging.INFO, stream=open(os.devnull, "w"))
library = LlamaLibrary.default()
started = threading.Event()


def interrupt():
    started.wait()
    time.sleep(float(sys.argv[3]))
    os.kill(os.getpid(), signal.SIGINT)


thread = threading.Thread(target=interrupt, daemon=True)  # kept, as Python loses a Ctrl-C that
thread.start()  # comes while it frees one
try:
    started.set()
    while True:
        model = LlamaModel.from_file(sys.argv[1])
        LlamaContext(model, n_ctx=64)
except KeyboardInterrupt:
    print("interrupted")
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
