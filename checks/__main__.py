"""``python -m checks NAME [arguments]`` runs one of the long checks; without a name, lists them."""

from __future__ import annotations

import subprocess
import sys
from typing import NamedTuple

from tests.support.python import ROOT


class Check(NamedTuple):
    """A check, and the module and arguments that run it."""

    about: str
    command: tuple[str, ...]


CHECKS = {
    "leaks": Check(
        "the same 1,000 times: memory, files and threads level off", ("checks.stress", "leaks")
    ),
    "threads": Check(
        "many threads for a minute, and 1,000 cancels: the same tokens as one",
        ("checks.stress", "threads"),
    ),
    "storm": Check(
        "200 requests (-n) from threads and tasks at a time, for ten minutes (--minutes): each "
        "answer is the one alone",
        ("checks.storm",),
    ),
    "cycles": Check(
        "200 servers started and stopped: no process, port or file is left", ("checks.cycles",)
    ),
    "fuzz": Check("10,000 damaged files (-n): each loads or raises", ("checks.fuzz",)),
    "fuzz-api": Check(
        "1,000 scenarios (-n) of wrong calls: each call returns or raises",
        ("checks.fuzz", "--api", "-n", "1000"),
    ),
    "schemas": Check(
        "texts of 200 random schemas (-n), and a public suite's instances (--suite FOLDER)",
        ("checks.schemas",),
    ),
    "sanitize": Check(
        "the engine tests with AddressSanitizer and UBSan (--build FOLDER)", ("checks.sanitize",)
    ),
    "archs": Check(
        "small models of most architectures (or MODEL ...): sequences, states, caches, as alone",
        ("checks.archs",),
    ),
    "templates": Check(
        "every chat template by eight conversations: llama-server's prompts, and the time of one",
        ("checks.templates",),
    ),
    "clients": Check(
        "openai, pydantic-ai, instructor and other clients on our server: the page's programs",
        ("checks.clients",),
    ),
    "mirror": Check(
        "the behaviours that llama.cpp's own server tests name, by our client and server",
        ("checks.mirror",),
    ),
    "sweep": Check(
        "agents through every chat template, 18 histories and 6 kinds of request (-n: a share)",
        ("checks.sweep",),
    ),
    "mcp": Check(
        "SmolLM2 searches files by an MCP server: 20 questions, native and constrained",
        ("checks.mcpfiles",),
    ),
    "proxy": Check(
        "agents on three servers behind HAProxy, of which some are killed", ("checks.proxy",)
    ),
    "ray": Check(
        "10,000 prompts (-n) on a Ray cluster of two nodes, and again while a node is lost",
        ("checks.rays",),
    ),
    "hosts": Check("RPC servers on machines made of network namespaces (Linux)", ("checks.hosts",)),
    "matrix": Check(
        "the engine tests on prebuilt engines of other tags, and pairs of tags", ("checks.matrix",)
    ),
    "lm-eval": Check(
        "lm-evaluation-harness in this process and through llama-server: the same numbers",
        ("checks.lm_eval",),
    ),
    "runs": Check("long runs of one kind of character through every tokenizer", ("checks.runs",)),
    "headers": Check(
        "real headers of Debian's packages: the declarations bound, checked by the C compiler",
        ("checks.headers",),
    ),
    "history": Check(
        "the bindings of many tags of the last half year, generated and verified",
        ("codegen", "history"),
    ),
}


def main(arguments: list[str]) -> int:
    if not arguments:
        for name, check in CHECKS.items():
            print(f"  {name:9} {check.about}")
        return 0
    name, *rest = arguments
    if name not in CHECKS:
        print(f"there is no check {name}; use one of {', '.join(CHECKS)}", file=sys.stderr)
        return 2
    command = [sys.executable, "-m", *CHECKS[name].command, *rest]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
