"""The tools of MCP servers, by the official library. They need the extra ``mcp``."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
import shlex
import threading
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from .._needs import needs
from ..errors import LlamaClosedError, LlamaError, LlamaToolError
from ..native.resource import ClosedByWith
from ..server._fields import Json
from .schema import plain
from .tools import Tool, tool_name

# How long a server may take to start, and to end.
_PATIENCE = 60.0
_numbers = itertools.count(1)


class McpServer(ClosedByWith):
    """One MCP server, and its tools for an agent.

        with McpServer(["python", "files.py"], name="files") as files:
            agent.run("Which files are there?", files.tools())

    ``target`` is a command (a list, or a text as in a shell), the URL of a server over HTTP, or
    anything else that ``mcp.Client`` takes, such as ``mcp.StdioServerParameters`` with an
    environment: a command gets a short one, without keys. It is started, or reached, at the first
    use, and again when it has ended since. A call that takes longer than ``timeout`` seconds, or
    whose server ends, is an error that the model reads. Threads may share it.

    An open ``mcp.ClientSession`` or ``mcp.Client`` stays its opener's, who also closes it. Its
    calls run in its event ``loop``, by default the running one; this must not be the one that the
    caller blocks: there, use `AsyncLlamaAgent`. TypeError without a loop.
    """

    def __init__(
        self, target: Any, *, name: str | None = None, timeout: float | None = 60.0,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:  # fmt: skip
        if isinstance(target, str) and not re.match(r"https?://", target):
            target = shlex.split(target)
        if isinstance(target, Sequence) and not isinstance(target, str):
            command, *arguments = map(os.fspath, target)
            parameters = needs("mcp", "McpServer", extra="mcp").StdioServerParameters
            target = parameters(command=command, args=arguments)
        self.target, self.timeout = target, timeout
        self.name = name or f"mcp{next(_numbers)}"
        """The prefix of a tool whose name another tool has, too."""
        self._lock = threading.Lock()
        self._loop = loop
        self._client: Any = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self._is_open = _is_open(target)
        if self._is_open:
            self._client, self._loop = target, loop or _running()
            if self._loop is None:
                raise TypeError(
                    "an open MCP session is given where its event loop runs, or with its loop: "
                    "McpServer(session, loop=loop)"
                )

    def __repr__(self) -> str:
        return f"<McpServer {self.name}>"

    def tools(self) -> list[Tool]:
        """Its tools. LlamaToolError if it cannot be reached."""
        tools, cursor = [], None
        while True:
            listed = self._ask(partial(_listed, cursor))
            for one in listed.tools:
                call = partial(self._call, one.name)
                schema = plain(dict(one.input_schema))
                tools.append(Tool(tool_name(one.name), one.description or "", schema, call))
            cursor = listed.next_cursor
            if not cursor:
                return tools

    def _call(self, _name: str, /, **arguments: Any) -> Any:
        answer = self._ask(lambda client: client.call_tool(_name, arguments))
        parts = [_part(one) for one in answer.content]
        texts = [part for part in parts if isinstance(part, str)]
        if answer.is_error:
            raise LlamaToolError("\n".join(texts) or "the tool failed")
        if answer.structured_content is not None:
            found = answer.structured_content
            value = found["result"] if set(found) == {"result"} else found
            media = [part for part in parts if not isinstance(part, str)]
            return [value, *media] if media else value
        return "\n".join(texts) if len(texts) == len(parts) else parts

    def close(self) -> None:
        """End the connection, and a server that this object started; a given session stays open."""
        with self._lock:
            self._closed = True
            self._end()

    # -- the library's loop, in a thread of its own

    def _ask(self, ask: Any) -> Any:
        with self._lock:
            if self._closed:
                raise LlamaClosedError(f"the MCP server {self.name} is closed")
            if self._is_open:
                self._check_loop()
            elif self._thread is None or not self._thread.is_alive():
                self._start()
            loop, client = self._loop, self._client
            assert loop is not None
        made: Coroutine[Any, Any, Any] = _answered(ask, client, self.timeout)
        future = asyncio.run_coroutine_threadsafe(made, loop)
        try:
            return future.result(None if self.timeout is None else self.timeout + 5)
        except (TimeoutError, asyncio.TimeoutError):
            future.cancel()
            raise LlamaToolError(f"{self.name} took longer than {self.timeout} s") from None
        except Exception as error:
            text = f"{type(error).__name__}: {error}".rstrip(": ")
            known = type(error).__name__ == "MCPError" and "closed" not in str(error).lower()
            if known or self._is_open:
                raise LlamaToolError(f"{self.name}: {error if known else text}") from error
            with self._lock:  # the next call finds a new one
                if client is self._client:
                    self._end()
            raise LlamaToolError(f"the MCP server {self.name} ended ({text})") from error

    def _check_loop(self) -> None:
        if self._loop is None or not self._loop.is_running():
            raise LlamaToolError(f"the event loop of the MCP session {self.name} has ended")
        if self._loop is _running():
            raise LlamaError(
                f"the MCP session {self.name} waits for this thread's event loop: use "
                "AsyncLlamaAgent here, or run the agent in another thread"
            )

    def _start(self) -> None:
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._work, args=(ready,), daemon=True)
        self._thread.start()
        try:
            ready.result(_PATIENCE)
        except Exception as error:
            self._end()
            text = f"{type(error).__name__}: {error}".rstrip(": ")
            raise LlamaToolError(f"no MCP server answers at {self.target!r} ({text})") from error

    def _work(self, ready: Future[None]) -> None:
        async def serve() -> None:
            self._stop = asyncio.Event()
            self._loop = asyncio.get_running_loop()
            library = needs("mcp", "McpServer", extra="mcp")
            async with library.Client(self.target, read_timeout_seconds=self.timeout) as client:
                self._client = client
                ready.set_result(None)
                await self._stop.wait()

        try:
            asyncio.run(serve())
        except BaseException as error:
            if not ready.done():
                ready.set_exception(_first(error))

    def _end(self) -> None:
        thread, loop, stop = self._thread, self._loop, self._stop
        self._thread = self._client = None
        if thread is not None and loop is not None and stop is not None:
            with contextlib.suppress(RuntimeError):  # its loop has ended
                loop.call_soon_threadsafe(stop.set)
            thread.join(_PATIENCE)


def _running() -> asyncio.AbstractEventLoop | None:
    """The event loop of this thread."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _is_open(target: Any) -> bool:
    """Whether ``target`` is a session of the library, which somebody has opened."""
    return not isinstance(target, str) and any(
        base.__module__.startswith("mcp.client.") and base.__name__ in ("Client", "ClientSession")
        for base in type(target).__mro__
    )


async def _listed(cursor: str | None, client: Any) -> Any:
    """The tools from ``cursor`` on, by a client or a session."""
    library = needs("mcp", "McpServer", extra="mcp")
    if not isinstance(client, library.ClientSession):
        return await client.list_tools(cursor=cursor)
    params = library.types.PaginatedRequestParams(cursor=cursor) if cursor else None
    return await client.list_tools(params=params)


def as_servers(given: Any) -> list[McpServer]:
    """MCP servers of commands, URLs, sessions and servers; a mapping names them."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError(
            f"mcp must be a list of commands, URLs, sessions or McpServers, not {given!r}"
        )
    named = given.items() if isinstance(given, Mapping) else [(None, one) for one in given]
    return [one if isinstance(one, McpServer) else McpServer(one, name=name) for name, one in named]


async def _answered(ask: Any, client: Any, timeout: float | None) -> Any:
    return await asyncio.wait_for(ask(client), timeout)


def _first(error: BaseException) -> BaseException:
    """The first error in a group of them."""
    while inner := getattr(error, "exceptions", None):
        error = inner[0]
    return error


def _part(block: Any) -> str | Json:
    """A block of a result as text, or as a part of a message."""
    if block.type == "text":
        return str(block.text)
    if block.type == "image":
        url = f"data:{block.mime_type};base64,{block.data}"
        return {"type": "image_url", "image_url": {"url": url}}
    if block.type == "audio":
        form = block.mime_type.rpartition("/")[2].replace("mpeg", "mp3").replace("x-wav", "wav")
        return {"type": "input_audio", "input_audio": {"data": block.data, "format": form}}
    if block.type == "resource" and getattr(block.resource, "text", None) is not None:
        return str(block.resource.text)
    return json.dumps(block.model_dump(mode="json", exclude_none=True, exclude={"data", "blob"}))
