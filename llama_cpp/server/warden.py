"""Runs a program, and ends it when the Python process that started it is gone.

`llama_cpp.server.process` starts this file as a script: ``warden.py GRACE PROGRAM ARGUMENT...``.
Its standard input is a pipe. The only thing ever written to it is ``!``: end the program at once.
When the pipe closes, by `ManagedProcess.close` or because the Python process died, the program is
asked to end, and killed after GRACE seconds. Its child processes are killed with it. The exit code
is the program's.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def dies_with_us() -> Callable[[], None] | None:
    """A function for between fork and exec: on Linux the program does not outlive this process."""
    if sys.platform != "linux":
        return None
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))


def _kill_all(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and its children."""
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
    """Run ``command`` until it ends or the pipe closes."""
    # Ctrl-C in a terminal goes to all of its processes, but only the pipe ends the program.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=sys.platform != "win32",
        preexec_fn=dies_with_us(),
        restore_signals=False,  # SIGPIPE stays ignored: a client that goes away must not end it
    )
    threading.Thread(target=_end_with_the_pipe, args=(process, float(grace)), daemon=True).start()
    code = process.wait()
    _kill_all(process)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.stdout.flush()
    os._exit(main(*sys.argv[1:]))
