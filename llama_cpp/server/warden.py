"""Runs a program, and ends it when whoever wanted it is gone.

`llama_cpp.server.process` starts this file as a script: ``warden.py GRACE PROGRAM ARGUMENT...``.
Its standard input is a pipe. The only thing ever written to it is ``!``: end the program at once.
When the pipe closes, by `ManagedProcess.close` or because the Python process died however it died,
the program is asked to end and, after GRACE seconds, made to. What it started is made to end with
it. The exit code is the program's.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def _dies_with_us() -> Callable[[], None] | None:
    """For the program between fork and exec: on Linux it does not outlive this process."""
    if sys.platform != "linux":
        return None
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))


def _kill_all(process: subprocess.Popen[bytes]) -> None:
    """Kill it, and what it started."""
    if sys.platform == "win32":
        process.kill()
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _end_with_the_pipe(process: subprocess.Popen[bytes], grace: float) -> None:
    hurried = sys.stdin.buffer.read().endswith(b"!")
    process.terminate()
    try:
        process.wait(0.5 if hurried else grace)
    except subprocess.TimeoutExpired:
        _kill_all(process)


def main(grace: str, *command: str) -> int:
    """Run ``command`` to its end, or to ours."""
    # Ctrl-C in a terminal goes to every process in it; what ends the program is the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=sys.platform != "win32",
        preexec_fn=_dies_with_us(),
        restore_signals=False,  # SIGPIPE stays ignored: a client that goes away must not end it
    )
    threading.Thread(target=_end_with_the_pipe, args=(process, float(grace)), daemon=True).start()
    code = process.wait()
    _kill_all(process)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.stdout.flush()
    os._exit(main(*sys.argv[1:]))
