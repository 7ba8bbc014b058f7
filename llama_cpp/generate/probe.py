"""Trying a projector in a process of its own, before it is loaded in this one.

libmtmd looks for few of the tensors and numbers that it needs, and crashes over the others: which
those are is up to the kind of projector. So another process loads it, prepares and encodes, see
`llama_cpp.generate.trial`: a file that ends that process is an error here.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import LlamaModelError
from ..native import child as _child
from ..native import fork, log

_TRIAL = "llama_cpp.generate.trial"  # that process runs it
_LOADING = 120.0
_SLOWEST = 10 << 20  # bytes a second of a disk

_lock = threading.Lock()
fork.renew_lock(globals(), "_lock", threading.Lock)
_passed: set[tuple[object, ...]] = set()


def probe(path: Path, files: list[Path], library: Path, options: Mapping[str, Any]) -> str | None:
    """Have a projector loaded and used by another process, unless that went well before.

    ``files`` are those of the model. Returns why it could not be tried, or None. LlamaModelError
    if the process crashes, times out, or raises an error of its own.
    """
    state = path.stat()
    key = (
        path.resolve(), state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns,
        state.st_ctime_ns, *files, library, *options.items(),
    )  # fmt: skip
    with _lock:
        if key in _passed:
            return None
    python = _child.interpreter()
    if python is None:
        return f"sys.executable, {sys.executable!r}, is no Python interpreter"
    job = {
        "library": str(library),
        "model": [str(file.absolute()) for file in files],
        "mmproj": str(path.absolute()),
        "options": dict(options),
    }
    try:
        why = _run(python, job, path, _LOADING + state.st_size / _SLOWEST)
    except OSError as error:  # no more processes, no memory, no such program
        why = f"{python} could not be used: {error}"
    if why is None:
        with _lock:
            _passed.add(key)
    return why


def _run(python: str, job: object, path: Path, seconds: float) -> str | None:
    import tempfile  # here: it imports much

    answers: dict[str, Any] = {}
    late = threading.Event()
    with tempfile.TemporaryFile() as errors, _child.start(python, _TRIAL, job, errors) as process:

        def stop() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(seconds, stop)
        timer.daemon = True
        timer.start()
        try:
            assert process.stdout is not None
            answers.update(json.loads(line) for line in process.stdout)
        except BaseException:
            process.kill()
            raise
        finally:
            timer.cancel()
        process.wait()
        errors.seek(0)
        said = errors.read().decode("utf-8", "replace").strip().splitlines()
    if "end" in answers:
        if answers["end"] is not None:
            raise LlamaModelError(answers["end"])
        return None
    if late.is_set():
        raise LlamaModelError(
            f"{path} is damaged: in a process of its own it was not loaded after {seconds:.0f} s"
        )
    if "ready" not in answers:
        return f"{python} could not be used: {log.reason(said[-1:], _child.ended(process))}"
    raise LlamaModelError(
        f"{path} is damaged: in a process of its own the library crashed over it "
        f"({log.reason(said[-1:], _child.ended(process)).rpartition('/')[2]})"
    )
