"""The engine's llama-server for the tests: real, on a free port, gone afterwards."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from llama_cpp import LlamaClient, LlamaLibrary

KEY = "a-key-that-must-not-show"


class Running(NamedTuple):
    """A server that is up."""

    url: str
    pid: int
    log: Path


@contextmanager
def running(
    library: LlamaLibrary, model: Path, folder: Path, *arguments: object
) -> Iterator[Running]:
    """``llama-server`` of the engine with ``model``, two threads and a small context."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / f"server-{port}.log"
    command = [
        library.path.parent / "llama-server",
        *("--model", model, "--port", port, "--api-key", KEY, "--ctx-size", 2048, "-t", 2),
        *("--no-ui", "--slot-save-path", folder, "--metrics", *arguments),
    ]
    with log.open("wb") as out:
        process = subprocess.Popen(
            list(map(str, command)),
            stdout=out,
            stderr=out,
            env={**os.environ, "OMP_WAIT_POLICY": "passive"},
        )
    try:
        yield Running(f"http://127.0.0.1:{port}", process.pid, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def is_idle(client: LlamaClient) -> bool:
    """Whether no slot of the server is at work."""
    return not any(slot["is_processing"] for slot in client.slots())
