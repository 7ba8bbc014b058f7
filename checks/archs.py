"""Small models of most architectures, written by llama.cpp's own test: each is used in every way
that depends on its kind of memory, and gives what it gives alone and in llama-server.

    python -m checks.archs [MODEL ...]

Prints each use that was refused, gave other tokens, or ended the process, and the counts. Exit code
1: a model that `EXPLAINED` does not name gave other tokens or ended the process.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bench.build import compile_to
from codegen import source
from llama_cpp import LlamaLibrary
from tests.support.python import ROOT

EXPLAINED = {
    "cogvlm-dense": "the library's own logits depend on how the prompt is divided into batches",
}
"""Models that do not give what they give alone, and why."""


def models(folder: Path) -> list[Path]:
    """Build llama.cpp's test, and have it write its models."""
    root, engine = source.resolve().root, LlamaLibrary.default().path.parent
    parts = ("include", "ggml/include", "common", "vendor", "src", "tests")
    program = compile_to(
        folder / "archs",
        "c++",
        [
            *("-std=c++17", "-w", *(f"-I{root / part}" for part in parts)),
            *(root / "tests/test-llama-archs.cpp", f"-L{engine}", f"-Wl,-rpath,{engine}"),
            *("-lllama-common", "-lllama", "-lggml", "-lggml-base"),
        ],
    )
    subprocess.run([program, "-o", folder], check=True, capture_output=True)
    return sorted(folder.glob("*.gguf"))


def use(path: Path) -> list[str]:
    """What `archworker` says of a model, and how it ended."""
    command = [sys.executable, "-m", "checks.archworker", str(path)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600
    )
    lines = done.stdout.splitlines()
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "ASSERT" in line or "Error" in line]
        lines.append(f"ended {done.returncode}: {' '.join(said[-1:])}")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Use small models of most architectures.")
    parser.add_argument("models", nargs="*", help="such as qwen3next-moe; all by default")
    given = parser.parse_args(arguments)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        paths = [
            path for path in models(Path(folder)) if not given.models or path.stem in given.models
        ]
        for path in paths:
            lines = use(path)
            for line in lines:
                print(f"{path.stem}: {line}", flush=True)
            found = {line.split()[0] for line in lines}
            worst = next((kind for kind in ("ended", "wrong", "refused") if kind in found), "right")
            explained = worst in ("ended", "wrong") and path.stem in EXPLAINED
            counts["explained" if explained else worst] += 1
    kinds = {path.stem.rpartition("-")[0] for path in paths}
    print(
        f"{len(paths)} models of {len(kinds)} architectures: "
        + ", ".join(f"{n} {kind}" for kind, n in counts.items())
    )
    return 1 if counts["ended"] or counts["wrong"] or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
