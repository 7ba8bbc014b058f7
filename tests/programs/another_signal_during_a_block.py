"""Has another signal's handler raise while a block is entered and left, 500 times: BLOCK."""

import ctypes
import random
import signal
import socket
import sys

from llama_cpp.native import interrupt as _interrupt
from llama_cpp.native import log as _log
from llama_cpp.native import resource as _resource


class Alarm(Exception):
    pass


def handler(*_):
    raise Alarm


signal.signal(signal.SIGALRM, handler)
reader, writer = socket.socketpair()
writer.setblocking(False)
stop = ctypes.create_string_buffer(1)
block = {
    "stops_on_ctrl_c": lambda: _interrupt.stops_on_ctrl_c(stop, lambda: False),
    "interruptible": _log.interruptible,
    "ctrl_c_later": _resource._ctrl_c_later,
}[sys.argv[1]]
_interrupt._watched()
left = []
for _ in range(500):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 1e-4))
        while True:
            with block():
                pass
    except Alarm:
        pass
    descriptor = signal.set_wakeup_fd(-1)
    if descriptor != writer.fileno():
        left.append(descriptor)
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        left.append(signal.getsignal(signal.SIGINT))
    if _interrupt._stop is not None:
        left.append(_interrupt._stop)
print(len(left), left[:1])
