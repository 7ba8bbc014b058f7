"""The engine's llama-server for the tests: real, on a free port, gone afterwards."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from llama_cpp import LlamaClient, LlamaLibrary
from tests.support.patience import patience

KEY = "a-key-that-must-not-show"


class Running(NamedTuple):
    """A server that is up."""

    url: str
    pid: int
    log: Path


@contextmanager
def running(
    library: LlamaLibrary, model: Path, folder: Path, *arguments: object, patient: bool = True
) -> Iterator[Running]:
    """``llama-server`` of the engine with ``model``, two threads and a small context. ``patient``
    is slower alone and faster beside other tests."""
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
            env={**os.environ, **({"OMP_WAIT_POLICY": "passive"} if patient else {})},
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


def ask(server: Running, path: str, body: object = None) -> Any:
    """The server's answer to a request, which is a POST with a ``body``."""
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{server.url}/{path}", data, headers)) as f:
        return json.load(f)


def wait(server: Running) -> None:
    """Until the server has loaded its model."""
    end = time.monotonic() + patience(60)
    while True:
        try:
            ask(server, "health")
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
