"""Python child processes, for calls in which the library may end the process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

# Isolated: imports depend neither on the current folder nor on PYTHON* variables; nor on neighbours
# of the package, because its folder is on the path only until the package is found.
_START = (
    "import sys, importlib; sys.path.insert(0, sys.argv[1])\n"
    "import llama_cpp; del sys.path[0]\n"
    "importlib.import_module(sys.argv[2]).main()"
)


_FLAG = "--llama-py-main"
"""The first argument of a frozen program that is to run one of our modules instead of its own:
see `llama_cpp.__pyinstaller`."""


def frozen_command(module: str) -> list[str] | None:
    """The command for ``main`` of one of our modules in a program that PyInstaller has made; None
    in any other."""
    return [sys.executable, _FLAG, module] if hasattr(sys, "_llama_py") else None


def interpreter() -> str | None:
    """The Python that can be started; None where there is none that is known to be one: in a
    program that has Python inside ``sys.executable`` may be empty, or the program itself."""
    if hasattr(sys, "_llama_py"):
        return sys.executable
    name = Path(sys.executable or "").name.lower()
    if getattr(sys, "frozen", False) or not name.startswith(("python", "pypy")):
        return None
    return sys.executable


def start(
    python: str, module: str, job: object, stderr: int | IO[bytes] = subprocess.DEVNULL
) -> subprocess.Popen[str]:
    """Run ``main`` of one of our modules, which gets the job from `receive` and answers by `tell`:
    a line of JSON for each on the process's stdout. It ends with this process."""
    root = str(Path(__file__).resolve().parents[2])
    process = subprocess.Popen(
        frozen_command(module) or [python, "-IB", "-c", _START, root, module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        encoding="utf-8",
        env={**os.environ, "GGML_NO_BACKTRACE": "1"},  # it would start a debugger
    )
    assert process.stdin is not None
    try:
        print(json.dumps(job), file=process.stdin, flush=True)
    except BrokenPipeError:  # it has ended; the caller notices that next
        with suppress(BrokenPipeError):
            process.stdin.close()  # which has the line still
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process


def ended(process: subprocess.Popen[Any] | subprocess.CompletedProcess[Any]) -> str:
    """How it ended: the name of a signal, or its exit code."""
    try:
        return signal.Signals(-process.returncode).name
    except ValueError:
        return f"exit code {process.returncode}"


# -- in the process


def receive() -> Any:
    """The job."""
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    return job


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


def tell(kind: str, value: object) -> None:
    """Answer."""
    print(json.dumps([kind, value]), flush=True)
