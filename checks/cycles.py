"""Start and stop servers again and again, and look for leftovers.

    python -m checks.cycles [cycles]

Each server answers once. Every second one is closed, of the others every second is forgotten, and
the rest are killed first. 0 nothing was left, 1 something was.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

from llama_cpp import LlamaServer
from tests.support import tiny
from tests.support.started import processes, program


def main(arguments: list[str]) -> int:
    cycles = int(arguments[0]) if arguments else 200
    with tempfile.TemporaryDirectory(prefix="llama-py-") as folder:
        model = tiny.make("llama", Path(folder))
        place = Path(folder, "tmp")  # for the servers' temporary files
        place.mkdir()
        tempfile.tempdir = str(place)
        try:
            left, seconds = cycle(model, cycles, place)
        finally:
            tempfile.tempdir = None
    print(f"{cycles} cycles in {seconds:.0f} s; left: ", end="")
    print(", ".join(f"{len(found)} {what}" for what, found in left.items()))
    for what, found in left.items():
        for one in found[:5]:
            print(f"    {what}: {one}")
    return 1 if any(left.values()) else 0


def cycle(model: Path, cycles: int, place: Path) -> tuple[dict[str, list[str]], float]:
    """The leftovers, by kind, and the seconds. ``place`` is the folder for temporary files."""
    ports = set()
    _once(model, 0)  # the first cycle makes permanent objects
    before = _descriptors(), threading.active_count()
    begun = time.monotonic()
    for i in range(cycles):
        ports.add(_once(model, i))
    seconds = time.monotonic() - begun
    gc.collect()
    descriptors, threads = _descriptors(), threading.active_count()
    return {
        "processes": [str(pid) for pid in processes(model) + _zombies()],
        "ports": [str(port) for port in ports if _taken(port)],
        "files": [str(path) for path in place.iterdir()],
        "descriptors": ["more than before"] * (descriptors - before[0]),
        "threads": ["more than before"] * (threads - before[1]),
    }, seconds


def _once(model: Path, i: int) -> int:
    """A server's life, and the port that it had."""
    server = LlamaServer(model, ctx_size=256, threads=1, parallel=1)
    with server.agent() as agent:
        agent.client.tokenize("once")
    port = int(server.base_url.rpartition(":")[2])
    if i % 4 == 1:
        del server
        gc.collect()
        return port
    if i % 4 == 3:
        os.kill(program(server), signal.SIGKILL)
    server.close()
    return port


def _zombies() -> list[int]:
    """Our ended child processes that nobody has waited for."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                status = (folder / "stat").read_text().rpartition(")")[2].split()
                if status[0] == "Z" and int(status[1]) == os.getpid():
                    found.append(int(folder.name))
    return found


def _taken(port: int) -> bool:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
