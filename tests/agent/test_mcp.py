"""Tools of MCP servers, real ones made with the official library, over stdio and HTTP."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from llama_cpp import LlamaAgent
from llama_cpp.agent import McpServer
from llama_cpp.errors import LlamaClosedError, LlamaToolError
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


def test_over_http_and_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([*COMMAND, str(port)], stderr=subprocess.DEVNULL)
    try:
        assert soon(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, 60)
        server = McpServer(f"http://127.0.0.1:{port}/mcp", timeout=60)
        tools = {tool.name: tool for tool in server.tools()}
        assert list(tools) == NAMES
        assert tools["add"](a=2, b=3) == 5
    finally:
        process.kill()
        process.wait()
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
