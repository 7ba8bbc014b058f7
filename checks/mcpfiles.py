"""An agent with SmolLM2 searches files by an MCP server: 20 questions, native and constrained.

    python -m checks.mcpfiles

A run is right when its answer has the fact of the question, and found when a result has it. 0 no
run failed and the constrained ones found three facts in four, 1 not so. SmolLM2 does not know the
format of native calls, and makes none.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from codegen import source
from examples.fetch_model import fetch_model
from llama_cpp import LlamaAgent, LlamaServer
from llama_cpp.agent import McpServer
from llama_cpp.errors import LlamaError
from tests.support.python import PROGRAMS

FACTS = {
    "server": ("port", "8431"), "garden": ("tree", "quince"), "kitchen": ("soup", "lentil"),
    "library": ("book", "Orlando"), "zoo": ("animal", "okapi"), "harbour": ("ship", "Meltem"),
    "school": ("teacher", "Ayla"), "station": ("train", "IC517"), "museum": ("painter", "Osman"),
    "office": ("room", "B204"), "bakery": ("bread", "rye"), "cinema": ("film", "Solaris"),
    "clinic": ("doctor", "Demir"), "garage": ("car", "Anadol"), "hotel": ("floor", "seventh"),
    "market": ("fruit", "medlar"), "orchestra": ("instrument", "oboe"), "farm": ("crop", "barley"),
    "tower": ("height", "324"), "lake": ("fish", "perch"),
}  # fmt: skip
"""File -> a word that is in it, and the fact about it."""
TEMPLATE = "models/templates/Qwen-Qwen2.5-7B-Instruct.jinja"


def main() -> int:
    bad = 0
    print("mode         runs  errors  called  found  right   calls  seconds")
    with tempfile.TemporaryDirectory(prefix="llama-py-") as folder:
        for name, (word, fact) in FACTS.items():
            Path(folder, f"{name}.txt").write_text(f"Notes.\nThe {word} of the {name} is {fact}.\n")
        files = McpServer([sys.executable, PROGRAMS / "mcp_files.py", folder], name="files")
        options: Any = {"ctx_size": 4096, "parallel": 1, "threads": 1}
        with files:
            for mode in ("constrained", "native"):
                if mode == "native":
                    options["chat_template_file"] = str(source.resolve().root / TEMPLATE)
                with LlamaServer(fetch_model(), **options) as server:
                    agent = server.agent(mcp=[files], mode=mode, temperature=0, max_steps=3)
                    bad += ask_all(agent, mode)
                    agent.mcp.clear()
                    agent.close()
    return 1 if bad else 0


def ask_all(agent: LlamaAgent, mode: str) -> int:
    """Ask all questions and print a row; 0 if it is good enough."""
    errors, results, begun = 0, [], time.monotonic()
    for name, (word, _) in FACTS.items():
        question = f"Search the files for {word!r}. What is the {word} of the {name}?"
        agent.reset()
        try:
            results.append((name, agent.run(question, max_tokens=64)))
        except LlamaError as error:
            errors += 1
            print(f"{mode}, {name}: {error!r}")
    called = sum(bool(result.calls) for _, result in results)
    found = sum(any(FACTS[n][1] in call.text for call in r.calls) for n, r in results)
    right = sum(FACTS[name][1] in result.text for name, result in results)
    calls = sum(len(result.calls) for _, result in results)
    print(
        f"{mode:11} {len(FACTS):5} {errors:7} {called:7} {found:6} {right:6} {calls:7} "
        f"{time.monotonic() - begun:8.0f}",
        flush=True,
    )
    return errors + (mode == "constrained" and found < 15)


if __name__ == "__main__":
    sys.exit(main())
