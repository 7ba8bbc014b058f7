"""Raises Ctrl-C right before the log callback runs."""

import ctypes
import functools
import signal
import sys

from llama_cpp.native import log as _log

c = ctypes.CDLL(None)
# One call of C's own after another: no bytecode of Python's is between them.
calls = [
    functools.partial(getattr(c, "raise"), signal.SIGINT),
    functools.partial(_log._callback, 3, b"a warning\n", None),
]
before = sys.unraisablehook
for _ in range(3):
    try:
        with _log.heard():
            list(map(functools.partial.__call__, calls))
    except KeyboardInterrupt as error:
        print(error.__traceback__.tb_next is not None, sys.unraisablehook is before)
