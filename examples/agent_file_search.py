"""Questions about the files of a folder, which the model does not see and cannot leave.

python examples/agent_file_search.py --url http://localhost:8080 FOLDER "Where is the port set?"
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from llama_cpp import LlamaAgent
from llama_cpp.agent import RunContext
from llama_cpp.errors import LlamaError, LlamaToolError


def inside(ctx: RunContext[Path], name: str) -> Path:
    path = (ctx.deps / name).resolve()  # also of a link
    if not path.is_relative_to(ctx.deps.resolve()) or not path.is_file():
        raise LlamaToolError(f"there is no file {name}; list_files gives the names")
    return path


def search(ctx: RunContext[Path], word: str) -> list[str]:
    """Search all files for a word."""
    lines = [(name, line) for name in list_files(ctx) for line in read_file(ctx, name).splitlines()]
    return [f"{name}: {line}" for name, line in lines if word.lower() in line.lower()]


def list_files(ctx: RunContext[Path]) -> list[str]:
    """List the names of all files."""
    top, found = ctx.deps.resolve(), [path for path in ctx.deps.rglob("*") if path.is_file()]
    inner = [path for path in found if path.resolve().is_relative_to(top)]
    return sorted(path.relative_to(ctx.deps).as_posix() for path in inner)


def read_file(ctx: RunContext[Path], file: str) -> str:
    """Read a file."""
    return inside(ctx, file).read_text("utf-8", errors="replace")


def size_of(ctx: RunContext[Path], file: str) -> int:
    """Get the size of a file in bytes."""
    return inside(ctx, file).stat().st_size


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("question")
    parser.add_argument("--url", default="http://localhost:8080")
    options = parser.parse_args()
    key, tools = os.environ.get("LLAMA_API_KEY"), [search, list_files, read_file, size_of]
    try:
        with LlamaAgent(options.url, api_key=key, tools=tools, deps=options.folder) as agent:
            result = agent.run(options.question, temperature=0, max_tokens=128)
    except LlamaError as error:
        sys.exit(f"error: {error}")
    print(
        *[f"{call.name}({call.arguments}) -> {call.text[:200]}" for call in result.calls], sep="\n"
    )
    print(result.text or f"[{result.reason}]")
