"""Sends a signal at the end of a call, and reads it from the program's own descriptor."""

import ctypes
import os
import signal
import socket

from llama_cpp.native import interrupt as _interrupt

signal.signal(signal.SIGTERM, lambda *_: None)
reader, writer = socket.socketpair()
writer.setblocking(False)
reader.settimeout(10)
signal.set_wakeup_fd(writer.fileno())
stop = ctypes.create_string_buffer(1)
for _ in range(20):
    with _interrupt.stops_on_ctrl_c(stop, lambda: False):
        os.kill(os.getpid(), signal.SIGTERM)
    assert reader.recv(64) == bytes([signal.SIGTERM])
print(stop.raw)
