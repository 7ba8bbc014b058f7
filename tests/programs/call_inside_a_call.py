"""Interrupts a call that is made inside another one."""

import ctypes
import os
import signal
import socket
import time

from llama_cpp.native import interrupt as _interrupt
from llama_cpp.native import log as _log

reader, writer = socket.socketpair()
writer.setblocking(False)
signal.set_wakeup_fd(writer.fileno())
outer, inner = ctypes.create_string_buffer(1), ctypes.create_string_buffer(1)


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
    told = reader.recv(64)  # by the watcher, which has set the byte before
    return told[0] == signal.SIGINT, len(told), outer.raw, inner.raw


try:
    with _log.interruptible() as came, _interrupt.stops_on_ctrl_c(outer, came):
        with _interrupt.stops_on_ctrl_c(inner, lambda: False):
            print(*interrupt())
        print(*interrupt())
except KeyboardInterrupt:
    print("interrupted", signal.set_wakeup_fd(-1) == writer.fileno())
busy = time.process_time()
time.sleep(0.3)
print(time.process_time() - busy < 0.2)
