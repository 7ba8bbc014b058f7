"""The wheel in dist/, as a new user meets it: for each installed Python a clean environment
without a compiler, pip install, the first text, and llama-server.

    python -m release.check_wheel [WHEEL] [--companion NAME [--no-driver]] [--no-doctor]

Prints a row for each Python: seconds for the install and until the first text, the requests that
the server answered and refused, and the result of ``llama-py doctor``. With a companion's wheel its
backend must have all layers; without a graphics card Mesa's software driver does, which must be
named: GGML_VK_VISIBLE_DEVICES=0. With --no-driver the CPU computes, and the doctor must say that
the plug-in is there and why it is not used. Exit code 0 if all generate the same text, 1 if not, or
if files of the wheel are missing or unneeded, 2 if there is no wheel.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from llama_cpp.errors import LlamaError

from . import contents
from .companion import COMPANIONS
from .wheel import DIST, PROJECT

_GENERATE = Path(__file__).with_name("_generate.py")
_SERVE = Path(__file__).with_name("_serve.py")
_ROW = "{:7} {:>9} {:>12}  {:24} {:23} {}"
_SECONDS = 1200


def main() -> int:
    parser = argparse.ArgumentParser(description="Install the wheel in clean environments.")
    parser.add_argument("wheel", nargs="?", type=Path, help="default: the one in dist/")
    parser.add_argument("--companion", metavar="NAME", help="with that of dist/, e.g. vulkan")
    parser.add_argument("--no-driver", action="store_true", help="here is none for the companion")
    parser.add_argument("--no-doctor", action="store_true", help="needs no package index then")
    options = parser.parse_args()
    wheel = options.wheel or find_wheel()
    if wheel is None:
        parser.error("no wheel with an engine in dist/; run: make wheel")
    companion = find_wheel(f"libllama_py_{options.companion}") if options.companion else None
    if options.companion and companion is None:
        parser.error(f"no companion in dist/; run: make companion NAME={options.companion}")
    model = find_model()
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
    try:
        contents.check(wheel)
    except LlamaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    heads = ("install s", "first text s", "library", "server", "doctor")
    print(_ROW.format("Python", *heads), flush=True)
    texts = set()
    bad = 0
    for version, python in pythons().items():
        try:
            row, text = one(
                python, wheel.resolve(), model, doctor=not options.no_doctor, companion=companion,
                idle=COMPANIONS[options.companion].backend if options.no_driver else None,
            )  # fmt: skip
        except (subprocess.SubprocessError, OSError, ValueError) as error:
            print(f"{version:7} FAILED: {error}\n{getattr(error, 'stderr', None) or ''}")
            bad += 1
            continue
        texts.add(text)
        bad += row[-1].startswith("WRONG")
        print(_ROW.format(version, *row), flush=True)
    print(f"{len(texts)} text{'s' * (len(texts) != 1)}: {texts}")
    return 1 if bad or len(texts) != 1 else 0


def find_wheel(name: str = "libllama_py") -> Path | None:
    """The newest wheel in dist/ with an engine, or of the companion ``name``."""
    found = [path for path in DIST.glob(f"{name}-*.whl") if not path.stem.endswith("-any")]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def find_model() -> Path:
    """The small model that generates the text."""
    done = subprocess.run(
        [sys.executable, PROJECT / "examples" / "fetch_model.py"],
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return Path(done.stdout.strip())


def pythons() -> dict[str, Path]:
    """The Pythons to try, by version: pyenv's, those on PATH, or else this one."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    folders = [*root.glob("3.*/bin"), *map(Path, os.environ.get("PATH", "").split(os.pathsep))]
    found = {}
    for minor in range(10, 20):
        for folder in folders:
            python = folder / f"python3.{minor}"
            if python.is_file() and "shims" not in folder.parts:
                found[f"3.{minor}"] = python
                break
    return found or {f"3.{sys.version_info.minor}": Path(sys.executable)}


def one(
    python: Path, wheel: Path, model: Path, *, doctor: bool, companion: Path | None = None,
    idle: str | None = None,
) -> tuple[list[str], str]:  # fmt: skip
    """A row of the table, and the text. ``idle`` is the companion's backend if it has no driver."""
    with tempfile.TemporaryDirectory(prefix="llama-py-") as name:
        home = Path(name)
        environment = home / "environment"
        subprocess.run([python, "-m", "venv", environment], check=True, timeout=_SECONDS)
        programs = environment / ("Scripts" if sys.platform == "win32" else "bin")
        # Nothing else is on PATH, so no compiler; the cache is empty.
        env = {"PATH": str(programs), "HOME": str(home), "LANG": "C.UTF-8"}
        env |= {name: value for name, value in os.environ.items() if name.startswith("GGML_")}

        def run(*command: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                command, cwd=home, env=env, capture_output=True, text=True, check=check,
                timeout=_SECONDS,
            )  # fmt: skip

        pip = (programs / "python", "-m", "pip", "install", "--disable-pip-version-check", "-q")
        begun = time.monotonic()
        # Where the toolkit's libraries are packages, the companion needs them from the index.
        run(*pip, *([] if idle else ["--no-index"]), wheel, *([companion] if companion else []))
        installed = time.monotonic() - begun
        with subprocess.Popen(
            [programs / "python", "-I", _GENERATE, model, "4" if companion else "24"],
            cwd=home, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            late = threading.Timer(_SECONDS, process.kill)
            late.start()
            try:
                head = process.stdout.read(1)
                first = time.monotonic() - begun
                out, err = process.communicate()
            finally:
                late.cancel()
        if process.returncode:
            raise ValueError(err.decode(errors="replace")[-2000:])
        result = json.loads((head + out).decode().splitlines()[-1])
        library = Path(result["library"])
        if not library.is_relative_to(environment.resolve()):
            raise ValueError(f"{library} is not the wheel's")
        if companion and ("CPU" in result["devices"]) is not bool(idle):
            raise ValueError(f"{companion.name}: the layers are on {result['devices']}")
        served = "not asked"
        if companion is None:  # a software driver takes minutes for each program
            served = run(programs / "python", "-I", _SERVE, model).stdout.strip()
        said = "not asked"
        if doctor:
            run(*pip, f"{wheel}[cli]")
            # It ends with 1 if it finds a fault.
            also: list[str | Path] = [] if companion else ["-m", model]
            asked = run(programs / "llama-py", "doctor", "--json", *also, check=False)
            said = judged(asked.stdout, idle)
        place = "/".join(library.parts[-3:-1]) + " " + ",".join(result["code"])
        place += f" {','.join(result['devices'])}" if companion else ""
        return [f"{installed:.1f}", f"{first:.1f}", place, served, said], result["text"]


def judged(text: str, idle: str | None) -> str:
    """The doctor's report in short. It must name the backend ``idle``, which has no driver."""
    findings = json.loads(text)["findings"]
    wrong = [f["what"] for f in findings if f["status"] == "wrong"]
    if wrong:
        return f"WRONG: {', '.join(wrong)}"
    (devices,) = (f for f in findings if f["what"] == "devices")
    if idle is None:
        return "nothing is wrong"
    named = re.search(rf"(not|none of) {idle}\b", devices["text"]) and devices["status"] == "note"
    there = any(f["what"].startswith("libllama-py-") and f["status"] == "ok" for f in findings)
    return devices["text"] if named and there else f"WRONG: {idle} is not named: {devices['text']}"


if __name__ == "__main__":
    sys.exit(main())
