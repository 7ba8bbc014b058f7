"""Clients of other libraries on our server: the programs of docs/guide/clients.md.

    python -m checks.clients [NAME ...]

They run in an environment with the packages of requirements/clients.txt. 0 all print an answer, 1
one does not.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from examples.fetch_model import fetch_model
from llama_cpp.engine import cache_root
from tests.support import codeblocks
from tests.support.python import ROOT, Result
from tests.support.venvs import environment

PAGE = ROOT / "docs" / "guide" / "clients.md"
# Two that would ask the network otherwise, for prices, and with a report of the use.
_QUIET = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "HAYSTACK_TELEMETRY_ENABLED": "False"}


def sections() -> dict[str, list[codeblocks.Block]]:
    """The program of each client by its heading, with the server's start and end."""
    lines = PAGE.read_text("utf-8").splitlines()
    first, *rest, last = codeblocks.programs(PAGE)
    found: dict[str, list[codeblocks.Block]] = {}
    for block in rest:
        name = next(line for line in lines[block.line :: -1] if line.startswith("## "))
        found.setdefault(name.removeprefix("## "), [first]).append(block)
    return {name: [*blocks, last] for name, blocks in found.items()}


def answer(name: str, folder: Path, python: Path | str = sys.executable) -> Result:
    """The result of the program of a client; ``folder`` has the model."""
    return codeblocks.run(PAGE, sections()[name], folder, python=python, timeout=600, **_QUIET)


def main(names: list[str]) -> int:
    known = sections()
    if unknown := set(names) - known.keys():
        print(f"no such client: {', '.join(unknown)}; use {', '.join(known)}", file=sys.stderr)
        return 2
    python = environment(cache_root() / "checks" / "clients", "clients.txt")
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format=freeze"], capture_output=True, text=True, check=True
    )
    versions = dict(re.findall(r"^([\w-]+)==(.*)$", listed.stdout, re.MULTILINE))
    failed = 0
    with tempfile.TemporaryDirectory(prefix="llama-py-") as folder:
        Path(folder, "model.gguf").symlink_to(fetch_model())
        for name in names or known:
            begun = time.monotonic()
            done = answer(name, Path(folder), python)
            failed += (bad := done.returncode != 0 or not done.stdout.strip())
            package = next((one for one in versions if one.startswith(name)), name)
            shown = done.stderr[-1500:] if bad else repr(done.stdout.strip())[:80]
            state = "FAILED" if bad else "ok"
            seconds = time.monotonic() - begun
            version = versions.get(package, "")
            print(f"{name:12} {version:9} {state:6} {seconds:5.1f} s  {shown}", flush=True)
    print(f"{len(names or known)} clients, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
