"""A fake llama-server that follows a script, byte by byte, for behaviour that is too rare to test
with the real one.

An answer is a sequence of steps: bytes are sent as they are, a number is a pause in seconds, and
`CLOSE`, `RESET` and `HANG` do as their names say. A request takes the next answer, and the last
one stays.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Do(Enum):
    """A step that neither sends nor waits."""

    CLOSE = "end the connection in good order"
    RESET = "break the connection"
    HANG = "say nothing until the client goes away"


CLOSE, RESET, HANG = Do
Step = bytes | float | Do
Answer = Sequence[Step]


def reply(status: int, body: Any, *headers: str, length: int | None = None) -> list[Step]:
    """A whole answer: text as it is, everything else as JSON."""
    data = (body if isinstance(body, str) else json.dumps(body)).encode()
    kind = "text/html" if isinstance(body, str) else "application/json"
    size = len(data) if length is None else length
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {size}", *headers]
    return ["\r\n".join([*lines, "", ""]).encode() + data]


def error(status: int, message: str, kind: str = "server_error", **fields: Any) -> list[Step]:
    """An error in llama-server's form."""
    said = {"code": status, "message": message, "type": kind, **fields}
    return reply(status, {"error": said})


LOADING = error(503, "Loading model", "unavailable_error")
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
"""The head of a streamed answer."""
END = b"0\r\n\r\n"
"""The end of one."""


def part(data: bytes) -> bytes:
    """``data`` as HTTP sends a part of a streamed answer."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(data: Any, kind: str = "data") -> bytes:
    """An event, not yet as a part."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return f"{kind}: {text}\n\n".encode()


def delta(finish: str | None = None, **fields: Any) -> Any:
    """A chunk of a chat."""
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def chat_events(text: str = "Hello", finish: str = "stop", calls: Sequence[Any] = ()) -> bytes:
    """All events of a good answer."""
    deltas: list[Any] = [delta(role="assistant", content=None)]
    deltas += [delta(content=text[i : i + 2]) for i in range(0, len(text), 2)]
    deltas += [delta(tool_calls=[call]) for call in calls]
    deltas += [delta(finish), {"choices": [], "usage": USAGE}]
    return b"".join(map(event, deltas)) + event("[DONE]")


def streamed(*portions: bytes) -> list[Step]:
    """A whole streamed answer of ``portions``."""
    return [STREAM, *map(part, portions), END]


def chat(text: str = "Hello", finish: str = "stop", calls: Sequence[Any] = ()) -> list[Step]:
    """A good answer, streamed."""
    return streamed(chat_events(text, finish, calls))


def whole(text: str | None = "Hello", finish: str = "stop", **fields: Any) -> list[Step]:
    """A good answer, all at once."""
    message = {"role": "assistant", "content": text, **fields}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return reply(200, {"choices": [choice], "usage": USAGE})


def called(name: str, arguments: str, index: int = 0) -> Any:
    """A call, as a chunk has it."""
    function = {"name": name, "arguments": arguments}
    return {"index": index, "id": f"c{index}", "type": "function", "function": function}


@dataclass
class Request:
    """A received request."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    connection: int
    """Which of the connections it came on."""


@dataclass
class FaultServer:
    """The server while it runs."""

    answers: list[Answer]
    native: bool = False
    """Whether it says that its chat template knows tools."""
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    """All but those for ``/props``, which have no part in the script."""
    left: threading.Event = field(default_factory=threading.Event)
    """Set when a client went away from an answer that hangs."""
    sent: dict[bytes, float] = field(default_factory=dict)
    """When the last of each portion was sent."""
    _stopped: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _connections: list[socket.socket] = field(default_factory=list)

    @property
    def bodies(self) -> list[Any]:
        return [request.body for request in self.requests]

    def _accept(self, listener: socket.socket) -> None:
        number = 0
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()
            number += 1

    def _serve(self, connection: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as reader:
            while True:
                first = reader.readline().decode().split()
                if len(first) < 2:
                    return
                headers = {}
                while line := reader.readline().decode().strip():
                    name, _, value = line.partition(": ")
                    headers[name.lower()] = value
                data = reader.read(int(headers.get("content-length", 0)))
                body = json.loads(data) if data else None
                answer = self._answer(Request(first[0], first[1], headers, body, number))
                if not self._play(connection, answer):
                    return

    def _answer(self, request: Request) -> Answer:
        if request.path.startswith("/props"):
            caps = {"supports_tools": self.native, "supports_tool_calls": self.native}
            settings = {"n_ctx": 4096}
            facts = {"chat_template_caps": caps, "default_generation_settings": settings}
            return reply(200, facts)
        with self._lock:
            self.requests.append(request)
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def _play(self, connection: socket.socket, answer: Answer) -> bool:
        """Whether the connection stays."""
        for step in answer:
            if isinstance(step, bytes):
                self.sent[step] = time.perf_counter()
                connection.sendall(step)
            elif isinstance(step, Do):
                if step is RESET:
                    linger = struct.pack("ii", 1, 0)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    # The reader holds the socket too: only this ends it at once.
                    socket.socket(fileno=connection.detach()).close()
                elif step is HANG and connection.recv(1) == b"":
                    self.left.set()
                return False
            elif self._stopped.wait(step):
                return False
        return True


@contextlib.contextmanager
def fault_server(*answers: Answer, native: bool = False) -> Iterator[FaultServer]:
    """A server that gives ``answers``."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = FaultServer(list(answers), native)
        server.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=server._accept, args=(listener,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server._stopped.set()
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            for connection in server._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def soon(condition: Any, seconds: float = 15.0) -> bool:
    """Whether ``condition()`` comes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
