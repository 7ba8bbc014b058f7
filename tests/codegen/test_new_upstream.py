"""A llama.cpp with one context parameter, one sampler, and one field and one option of the server
more is usable after ``regen`` alone."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from llama_cpp import LlamaLibrary
from tests.support.python import PROGRAMS, ROOT, run_command
from tests.support.upstream import change, copied


def _run(*command: object, cwd: Path) -> str:
    done = run_command(*command, cwd=cwd, env={"PYTHONPATH": str(cwd), "GGML_NO_BACKTRACE": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_new_parameter_and_a_new_sampler_need_regen_alone(
    tmp_path: Path, library: LlamaLibrary, model_path: Path
) -> None:
    tree = change(copied(tmp_path / "llama.cpp"))
    project = tmp_path / "project"
    for folder in ("codegen", "llama_cpp", "templates"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, project / folder, ignore=ignored)
    changed = _run(sys.executable, "-m", "codegen", "regen", "--llama-cpp", tree, cwd=project)
    assert "n_foresight" in changed
    assert "llama_sampler_init_steady" in changed
    engine = Path(library.path).parent
    built = tmp_path / "libllama-new.so"
    _run(
        "cc", "-shared", "-fPIC", "-o", built, ROOT / "tests" / "codegen" / "new_upstream.c",
        f"-I{tree / 'include'}", f"-I{tree / 'ggml' / 'include'}",
        f"-L{engine}", f"-Wl,-rpath,{engine}", "-Wl,--no-as-needed",
        "-lllama", "-lggml", "-lggml-base",
        cwd=project,
    )  # fmt: skip
    printed = _run(
        sys.executable, PROGRAMS / "new_parameter_and_sampler.py", built, model_path, cwd=project
    )
    assert printed.splitlines() == [
        "default 7",
        "given 3",
        "LlamaContext has no keyword argument 'n_foresigth'; did you mean 'n_foresight'?",
        "<class 'int'>",
        "(self, token: 'int') -> 'Self'",
        "<LlamaSampler steady -> greedy> 99",
        "--dream-depth 3",
        "LlamaServer has no keyword argument 'dream_dept'; did you mean 'dream_depth'?",
        "dream_depth=0 is outside 1 to 2147483647",
        "dream=1.5 is outside 0 to 1",
        "int | None, float | None",
    ]
