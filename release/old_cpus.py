"""The wheel in dist/ on other CPUs: the code for each kind of CPU alone, and with qemu-user
installed, all of it on emulated older CPUs.

    python -m release.old_cpus [WHEEL] [--tokens N]

Prints for each CPU the code that ran, the greedy text, and its lead (see `_generate`): if that is
small, a different text may only be due to rounding. Exit code 0 if the text is the same everywhere,
1 if not, 2 if there is no wheel.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from .check_wheel import find_model, find_wheel

_GENERATE = Path(__file__).with_name("_generate.py")
# Without SSE4.2, without AVX, without F16C, without AVX2, without AVX-512.
_EMULATED = ("core2duo", "Nehalem", "SandyBridge", "IvyBridge", "Haswell")
_ROW = "{:25} {:15} {:>5}  {}"
_SECONDS = 900
NOT_HERE = "not for this CPU, and so refused"


def main() -> int:
    parser = argparse.ArgumentParser(description="The wheel's text on other CPUs.")
    parser.add_argument("wheel", nargs="?", type=Path, help="default: the one in dist/")
    parser.add_argument("--tokens", type=int, default=10)
    options = parser.parse_args()
    wheel = options.wheel or find_wheel()
    if wheel is None:
        parser.error("no wheel with an engine in dist/; run: make wheel")
    texts: set[str] = set()
    bad = 0
    model = find_model()
    with tempfile.TemporaryDirectory(prefix="llama-py-") as name:
        folder = Path(name)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        lib = folder / "llama_cpp" / "lib"
        print(_ROW.format("CPU", "code", "lead", "text"), flush=True)
        for label, before, keep in _cases(lib):
            code, lead, text = one(folder, before, keep, model, options.tokens)
            print(_ROW.format(label, code, lead, text), flush=True)
            if code:
                texts.add(text)
            elif text != NOT_HERE:
                bad += 1
    print(f"{len(texts)} text{'s' * (len(texts) != 1)}, {bad} failed")
    return 1 if bad or len(texts) != 1 else 0


def _cases(lib: Path) -> list[tuple[str, list[str], str | None]]:
    """A name, a command before Python's, and the only code to keep, or None for all."""
    names = sorted(re.findall(r"libggml-cpu-(\S+)\.so", "\n".join(p.name for p in lib.iterdir())))
    cases: list[tuple[str, list[str], str | None]] = [("this one", [], None)]
    cases += [(f"this one, only {name}", [], name) for name in names]
    qemu = shutil.which("qemu-x86_64")
    if qemu is None:
        print("without emulation: qemu-x86_64 is not installed (Debian: apt install qemu-user)")
        return cases
    return [*cases, *((f"qemu {cpu}", [qemu, "-cpu", cpu], None) for cpu in _EMULATED)]


def one(
    folder: Path, before: list[str], keep: str | None, model: Path, tokens: int
) -> tuple[str, str, str]:
    """The code that ran, the lead and the text; without code, the reason instead of the text."""
    lib = folder / "llama_cpp" / "lib"
    away = folder / "away"
    away.mkdir(exist_ok=True)
    others = [p for p in lib.glob("libggml-cpu-*.so") if p.stem != f"libggml-cpu-{keep}"]
    for path in others if keep else ():
        path.rename(away / path.name)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("LLAMA_CPP", "GGML_"))}
    env |= {"PYTHONPATH": str(folder), "XDG_CACHE_HOME": str(away)}
    try:
        done = subprocess.run(
            [*before, sys.executable, _GENERATE, model, str(tokens)],
            cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "", "", f"not through after {_SECONDS} s"
    finally:
        for path in away.glob("libggml-cpu-*.so"):
            path.rename(lib / path.name)
    if keep and "no CPU backend found" in done.stderr:
        return "", "", NOT_HERE
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1][-160:]
        return "", "", last
    result = json.loads(done.stdout.splitlines()[-1])
    return ",".join(result["code"]), f"{result['lead']:.2f}", repr(result["text"])


if __name__ == "__main__":
    sys.exit(main())
