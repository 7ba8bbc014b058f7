"""Questions about the files of a folder, which the model does not see and cannot leave.

python examples/agent_file_search.py --url http://localhost:8080 FOLDER "Where is the port set?"
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from llama_cpp import LlamaAgent
from llama_cpp.agent import RunContext
from llama_cpp.errors import LlamaToolError


def inside(ctx: RunContext[Path], name: str) -> Path:
    path = (ctx.deps / name).resolve()
    if not path.is_relative_to(ctx.deps.resolve()) or not path.exists():
        raise LlamaToolError(f"there is no {name}; list_files gives the names")
    return path


def list_files(ctx: RunContext[Path], pattern: str = "*") -> list[str]:
    """List the files whose names match a pattern, such as "*.txt"."""
    found = [path for path in ctx.deps.rglob(pattern) if path.is_file()]
    return sorted(path.relative_to(ctx.deps).as_posix() for path in found)


def search(ctx: RunContext[Path], text: str) -> list[str]:
    """Find the lines of all files that contain a text."""
    files = {name: (ctx.deps / name).read_text("utf-8").splitlines() for name in list_files(ctx)}
    lines = [(f"{name}:{i + 1}", line) for name in files for i, line in enumerate(files[name])]
    return [f"{place}: {line}" for place, line in lines if text.lower() in line.lower()]


def read_file(ctx: RunContext[Path], name: str, first_line: int = 1, lines: int = 50) -> str:
    """Read some lines of a file."""
    text = inside(ctx, name).read_text("utf-8").splitlines()
    return "\n".join(text[first_line - 1 :][:lines])


def size_of(ctx: RunContext[Path], name: str) -> int:
    """Get the size of a file in bytes."""
    return inside(ctx, name).stat().st_size


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("question")
    parser.add_argument("--url", default="http://localhost:8080")
    options = parser.parse_args()
    key, tools = os.environ.get("LLAMA_API_KEY"), [list_files, search, read_file, size_of]
    with LlamaAgent(options.url, api_key=key, tools=tools, deps=options.folder) as agent:
        result = agent.run(options.question, temperature=0, max_tokens=128)
    print(
        *[f"{call.name}({call.arguments}) -> {call.text[:200]}" for call in result.calls], sep="\n"
    )
    print(result.text)
