"""A local HTTP server for the tests: files by path, with the faults that a test asks for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """The server's files and received requests."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, list[int]] = field(default_factory=dict)
    """Answers to give first for a path, before the file itself."""
    drop_after: dict[str, list[int]] = field(default_factory=dict)
    """Bytes to send of a path before the connection is cut, one entry for each request."""
    ranges: bool = True
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    """Headers for a path, on top of the usual ones; with a status too."""
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)


@contextmanager
def serve() -> Iterator[Served]:
    """Run a server on a free local port."""
    served = Served()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.requests.append((self.path, dict(self.headers.items())))
            if served.statuses.get(self.path):
                self.send_error(served.statuses[self.path].pop(0))
            elif self.path in served.redirects:
                self.send_response(302)
                self.send_header("Location", served.redirects[self.path])
                self.end_headers()
            elif self.path not in served.files:
                self.send_error(404)
            else:
                self.send_file(served.files[self.path])

        do_HEAD = do_GET

        def end_headers(self) -> None:
            for name, value in served.headers.get(self.path, {}).items():
                self.send_header(name, value)
            super().end_headers()

        def send_file(self, content: bytes) -> None:
            start = 0
            wanted = self.headers.get("Range", "")
            if served.ranges and wanted.startswith("bytes="):
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                self.send_response(206)
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"
                )
            else:
                self.send_response(200)
            body = content[start:]
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "HEAD":
                return
            drops = served.drop_after.get(self.path)
            self.wfile.write(body[: drops.pop(0)] if drops else body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
