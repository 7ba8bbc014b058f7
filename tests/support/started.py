"""The processes that these tests have started, and no other of the machine.

A word among a process's arguments does not make it ours: the shell that runs the tests may have it
there, too, and a test that kills processes by a word would kill it. Processes started from here
inherit a mark in their environment, and only processes with it are found.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from llama_cpp import LlamaRpcServer, LlamaServer

_MARK = f"LLAMA_PY_STARTED_BY={os.getpid()}-{uuid.uuid4().hex}"
os.environ.update([_MARK.split("=")])


def processes(word: object) -> list[int]:
    """Those with ``word`` among their arguments, but for this one and zombies."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            arguments = (folder / "cmdline").read_bytes()
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue  # it has ended, or belongs to another user
        if str(word).encode() in arguments and _MARK.encode() in environment.split(b"\0"):
            found.append(int(folder.name))
    return found


def warden(server: LlamaServer | LlamaRpcServer) -> int:
    """The process that watches a server's program, and ends it when the test process is gone."""
    assert server.pid is not None
    return server.pid


def program(server: LlamaServer | LlamaRpcServer) -> int:
    """The server's program itself, which its warden has started."""
    watching = warden(server)
    (child,) = Path(f"/proc/{watching}/task/{watching}/children").read_text().split()
    return int(child)
