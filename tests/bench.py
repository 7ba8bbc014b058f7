"""What things cost, side by side in one run: ``make bench``. Ratios, because machines are noisy."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from codegen import generate, render, source
from examples.fetch_model import fetch_model
from llama_cpp import _raw
from llama_cpp._cpu import usable_cores
from llama_cpp.engine import engine_dir

PROJECT = Path(__file__).parents[1]
PROMPTS = (
    "Once upon a time",
    "The capital of France is",
    "def fibonacci(n):",
    "Water boils at",
    "My favourite colour is",
)


def interleaved(programs: dict[str, Callable[[], float]], runs: int) -> dict[str, float]:
    """The median of each program's measure over ``runs`` rounds, in which each runs once."""
    found: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(runs):
        for name, program in programs.items():
            found[name].append(program())
    return {name: statistics.median(values) for name, values in found.items()}


def bench_import() -> None:
    """A fresh interpreter that imports, over one that imports what it needs anyway."""

    def run(code: str) -> Callable[[], float]:
        def measure() -> float:
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, cwd=PROJECT)
            return 1000 * (time.perf_counter() - begun)

        return measure

    base = "import ctypes, enum, typing, dataclasses, logging"
    found = interleaved(
        {
            "an empty program": run("pass"),
            base: run(base),
            "from llama_cpp import _raw": run("from llama_cpp import _raw"),
            "import llama_cpp": run("import llama_cpp"),
        },
        20,
    )
    print("\nimport, in a fresh interpreter (median of 20 interleaved runs)")
    empty = found["an empty program"]
    for name, milliseconds in found.items():
        print(
            f"  {milliseconds:6.1f} ms  {milliseconds / found[base]:5.2f} x  "
            f"{milliseconds - empty:+6.1f} over empty  {name}"
        )


def bench_generation() -> None:
    """`simple_generation.py` against the engine's llama-simple, the same threads for both."""
    engine = engine_dir(_raw.TAG)
    simple = engine / "llama-simple" if engine else None
    if simple is None or not simple.is_file():
        print("\ngeneration: the engine has no llama-simple (make engine builds it)")
        return
    model = str(fetch_model())
    # llama-simple asks for 4 threads whatever the machine has; OpenMP gives it no more than this.
    environment = {**os.environ, "OMP_THREAD_LIMIT": str(usable_cores())}

    def run(command: list[str], prompt: str) -> Callable[[], float]:
        def measure() -> float:
            done = subprocess.run(
                [*command, "-m", model, "-n", "64", prompt],
                env=environment, cwd=PROJECT, check=True, capture_output=True, text=True,
            )  # fmt: skip
            match = re.search(r"speed: ([\d.]+) t/s", done.stderr)
            assert match is not None, done.stderr
            return float(match[1])

        return measure

    print(f"\ngeneration, 64 tokens of SmolLM2-135M, {usable_cores()} threads (median of 5 runs)")
    ratios = []
    for prompt in PROMPTS:
        found = interleaved(
            {
                "ours": run([sys.executable, "examples/simple_generation.py"], prompt),
                "llama-simple": run([str(simple)], prompt),
            },
            5,
        )
        ratios.append(found["ours"] / found["llama-simple"])
        print(
            f"  {found['ours']:6.1f} t/s ours  {found['llama-simple']:6.1f} t/s llama-simple  "
            f"{ratios[-1]:5.3f} x  {prompt!r}"
        )
    print(f"  median ratio {statistics.median(ratios):.3f}")


def bench_generator() -> None:
    """The generator's own time, without and with black."""
    tree = source.resolve()
    begun = time.perf_counter()
    api = generate.read_api(tree)
    parsed = time.perf_counter()
    render.render_templates(api)
    rendered = time.perf_counter()
    generate.stale(generate.committed_apis())
    checked = time.perf_counter()
    print("\ngenerator")
    print(f"  {parsed - begun:6.2f} s  parse all targets, read the defaults")
    print(f"  {rendered - parsed:6.2f} s  render")
    print(f"  {checked - rendered:6.2f} s  render again, black, compare")


if __name__ == "__main__":
    bench_generator()
    bench_import()
    bench_generation()
