"""Tools of MCP servers, real ones made with the official library, over stdio and HTTP."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import Any

import mcp
import pytest
from mcp.client.streamable_http import streamable_http_client

from llama_cpp import AsyncLlamaAgent, LlamaAgent
from llama_cpp.agent import McpServer, Tool
from llama_cpp.errors import LlamaClosedError, LlamaError, LlamaToolError
from tests.support.faultserver import called, chat, fault_server, soon
from tests.support.python import ROOT

pytestmark = pytest.mark.quick
COMMAND = [sys.executable, str(ROOT / "tests" / "programs" / "mcp_server.py")]
NAMES = ["add", "files_list", "fail", "picture", "die", "hang", "flood"]


@pytest.fixture(scope="module")
def stdio() -> Iterator[McpServer]:
    with McpServer(COMMAND, name="mine", timeout=60) as server:
        yield server


def test_tools_have_their_schemas_and_their_results(stdio: McpServer) -> None:
    tools = {tool.name: tool for tool in stdio.tools()}
    assert list(tools) == NAMES
    function = tools["add"].definition["function"]
    assert function["description"] == "Add two numbers."
    assert function["parameters"]["required"] == ["a"]
    assert tools["add"](a=2, b=3) == 5
    assert "mcp_server.py" in tools["files_list"](folder=str(ROOT / "tests" / "programs"))
    assert tools["picture"]()[0]["image_url"]["url"].startswith("data:image/png;base64,")
    assert len(tools["flood"]()) == 3_000_000
    for arguments in ({}, {"a": "x"}):
        with pytest.raises(LlamaToolError):
            tools["add"](**arguments)
    with pytest.raises(LlamaToolError, match="fail"):
        tools["fail"]()


def test_a_server_that_dies_is_started_again_and_one_that_hangs_is_left(stdio: McpServer) -> None:
    tools = {tool.name: tool for tool in stdio.tools()}
    with pytest.raises(LlamaToolError, match="the MCP server mine ended"):
        tools["die"]()
    assert tools["add"](a=1) == 2
    stdio.timeout = 1
    with pytest.raises(LlamaToolError, match="mine took longer than 1 s"):
        tools["hang"]()
    stdio.timeout = 60
    assert tools["add"](a=2) == 3


@pytest.fixture(scope="module")
def http() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The address of a server over HTTP, and its process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([*COMMAND, str(port)], stderr=subprocess.DEVNULL)
    try:
        assert soon(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, 60)
        yield f"http://127.0.0.1:{port}/mcp", process
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def opened(target: str | list[str]) -> AsyncIterator[mcp.ClientSession]:
    """A session as the library's users open it."""
    async with AsyncExitStack() as stack:
        if isinstance(target, str):
            streams = await stack.enter_async_context(streamable_http_client(target))
        else:
            command = mcp.StdioServerParameters(command=target[0], args=target[1:])
            streams = await stack.enter_async_context(mcp.stdio_client(command))
        session = await stack.enter_async_context(mcp.ClientSession(*streams[:2]))
        await session.initialize()
        yield session


@pytest.mark.parametrize("over", ["stdio", "http", "client"])
async def test_an_open_session_serves_an_async_agent(over: str, http: Any) -> None:
    target: Any = http[0] if over == "http" else COMMAND
    command = mcp.StdioServerParameters(command=COMMAND[0], args=COMMAND[1:])
    calls = [called("add", '{"a": 2, "b": 3}'), called("fail", "{}", 1), called("flood", "{}", 2)]
    with fault_server(chat("", "tool_calls", calls), chat("5"), native=True) as server:
        async with (
            opened(target) if over != "client" else mcp.Client(command) as session,
            AsyncLlamaAgent(server.url, mcp=[session]) as agent,
        ):
            result = await agent.run("Hi")
            await agent.aclose()
            assert len((await session.list_tools()).tools) == len(NAMES)  # it is still open
    assert result.calls[0].result == 5
    assert "fail" in str(result.calls[1].error)
    flood = result.calls[2]  # the library limits an event
    assert "byte limit" in str(flood.error) if over == "http" else len(flood.result) == 3_000_000
    assert [f["function"]["name"] for f in server.bodies[0]["tools"]] == NAMES


async def test_a_session_may_hang_or_die_or_be_closed() -> None:
    async with opened(COMMAND) as session:
        one = McpServer(session, name="mine", timeout=1)
        tools = {tool.name: tool for tool in await asyncio.to_thread(one.tools)}
        with pytest.raises(LlamaToolError, match=r"mine took longer than 1 s|Timed out"):
            await asyncio.to_thread(tools["hang"])
    async with opened(COMMAND) as session:
        one = McpServer(session, name="mine")
        with pytest.raises(LlamaError, match="use AsyncLlamaAgent here"):
            one.tools()
        tools = {tool.name: tool for tool in await asyncio.to_thread(one.tools)}
        for name in ("die", "add"):
            with pytest.raises(LlamaToolError, match=r"mine: .*[Cc]losed"):
                await asyncio.to_thread(tools[name], a=1)
    with pytest.raises(LlamaToolError, match="mine"):
        await asyncio.to_thread(tools["add"], a=1)


def test_a_session_of_another_thread_s_loop_serves_a_sync_agent() -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    given: Future[mcp.ClientSession] = Future()
    over = asyncio.Event()

    async def hold() -> None:
        async with opened(COMMAND) as session:
            given.set_result(session)
            await over.wait()

    held = asyncio.run_coroutine_threadsafe(hold(), loop)
    session = given.result(60)
    with pytest.raises(TypeError, match="with its loop"):
        LlamaAgent(mcp=[session])
    server = McpServer(session, loop=loop)
    calls = [called("add", '{"a": 2, "b": 3}')]
    with (
        fault_server(chat("", "tool_calls", calls), chat("5"), native=True) as answers,
        LlamaAgent(answers.url, mcp=[server]) as agent,
    ):
        assert agent.run("Hi").calls[0].result == 5
    loop.call_soon_threadsafe(over.set)
    held.result(60)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    with pytest.raises(LlamaClosedError):
        server.tools()
    with pytest.raises(LlamaToolError, match="event loop of the MCP session mine has ended"):
        McpServer(session, name="mine", loop=loop).tools()


def test_over_http_and_closed(http: Any) -> None:
    server = McpServer(http[0], timeout=60)
    tools = {tool.name: tool for tool in server.tools()}
    assert list(tools) == NAMES
    assert tools["add"](a=2, b=3) == 5
    http[1].kill()
    with pytest.raises(LlamaToolError):
        tools["add"](a=1)
    server.close()
    with pytest.raises(LlamaClosedError):
        tools["add"](a=1)


def test_a_server_that_is_none_is_told() -> None:
    for target in ([sys.executable, "-c", "pass"], "/nowhere/server --x"):
        with pytest.raises(LlamaToolError, match="no MCP server answers"):
            McpServer(target).tools()
    for wrong in ("command", 5):
        with pytest.raises(TypeError, match="mcp must be a list"):
            LlamaAgent(mcp=wrong)  # type: ignore[arg-type]


def test_tools_with_equal_names_get_different_ones() -> None:
    servers: Any = [
        SimpleNamespace(name=name, tools=lambda: [Tool(one, "", {}) for one in ("a_b", "a_b", "c")])
        for name in ("BB Staging", "BB/Staging" + 60 * "x")
    ]
    with (
        fault_server(chat("x"), native=True) as server,
        LlamaAgent(server.url, tools=[Tool("c", "", {})]) as agent,
    ):
        agent.mcp += servers
        agent.run("Hi")
        agent.mcp.clear()
    names = [one["function"]["name"] for one in server.bodies[0]["tools"]]
    assert names[:4] == ["c", "BB_Staging_a_b", "BB_Staging_a_b_2", "BB_Staging_c"]
    assert all(re.fullmatch(r"[\w-]{1,64}", name) for name in names)
    assert len(names) == 7


@pytest.mark.parametrize("native", [True, False])
def test_an_agent_uses_them(native: bool, stdio: McpServer) -> None:
    def add(a: int) -> int:
        """Its own."""
        return -a

    if native:
        calls = [called("mine_add", '{"a": 2, "b": 3}'), called("picture", "{}", 1)]
        calls += [called("flood", "{}", 2), called("fail", "{}", 3)]
        answers = [chat("", "tool_calls", calls), chat("5")]
    else:
        answers = [
            chat('{"tool": "mine_add", "arguments": {"a": 2, "b": 3}}'),
            chat('{"answer": 5}'),
        ]
    with (
        fault_server(*answers, native=native) as server,
        LlamaAgent(server.url, mcp=[stdio], tools=[add]) as agent,
    ):
        result = agent.run("Hi")
        agent.mcp.clear()  # it is the fixture's
        assert (result.text, result.calls[0].result) == ("5", 5)
        names = [f["function"]["name"] for f in server.bodies[0].get("tools", ())]
        assert not native or names == ["add", "mine_add", *NAMES[1:]]
        if native:
            told = [m["content"] for m in server.bodies[1]["messages"][2:]]
            assert told[1] == '["[image attached]"]'
            assert 50_000 < len(told[2]) < 51_000
            assert told[3].startswith("Error: ")
            assert told[4] == "You cannot see the attached images and sounds."
