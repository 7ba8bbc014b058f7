"""An MCP server for the text files of a folder, made with the official library: ``FOLDER``."""

import sys
from pathlib import Path

from mcp.server import MCPServer

FOLDER = Path(sys.argv[1]).resolve()
server = MCPServer("files")


@server.tool()
def list_files() -> list[str]:
    """List the names of all files."""
    return sorted(path.name for path in FOLDER.iterdir())


@server.tool()
def search(text: str) -> list[str]:
    """Find the lines of all files that contain a text."""
    lines = [(path.name, line) for path in FOLDER.iterdir() for line in path.open()]
    return [f"{name}: {line.strip()}" for name, line in lines if text.lower() in line.lower()]


@server.tool()
def read_file(name: str) -> str:
    """Read a file."""
    path = (FOLDER / name).resolve()
    if path.parent != FOLDER or not path.is_file():
        raise ValueError(f"there is no {name}; list_files gives the names")
    return path.read_text()


server.run()
