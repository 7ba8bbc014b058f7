"""An MCP server made with the official library: ``mcp_server.py [PORT]``, over HTTP with a port."""

import os
import sys
import time

from mcp.server import MCPServer
from mcp.server.mcpserver import Image

server = MCPServer("test")


@server.tool()
def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


@server.tool(name="files.list", structured_output=False)
def names(folder: str) -> list[str]:
    """The names in a folder."""
    return sorted(os.listdir(folder))


@server.tool()
def fail() -> str:
    """It fails."""
    raise ValueError("not today")


@server.tool()
def picture() -> Image:
    """A picture."""
    return Image(data=b"\x89PNG", format="png")


@server.tool()
def die() -> str:
    """The server ends."""
    os._exit(3)


@server.tool()
def hang() -> str:
    """It takes long."""
    time.sleep(20)
    return ""


@server.tool()
def flood() -> str:
    """Very much text."""
    return "x" * 3_000_000


if len(sys.argv) > 1:
    server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
else:
    server.run()
