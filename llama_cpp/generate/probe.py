"""Trying a projector in a process of its own, before it is loaded in this one.

libmtmd looks for few of the tensors and numbers that it needs, and crashes over the others: which
those are is up to the kind of projector. So another process loads it, prepares and encodes: what
ends that process is an error here.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import LlamaError, LlamaModelError
from ..native import child as _child
from ..native import log

if TYPE_CHECKING:
    from .multimodal import LlamaMultimodal

_ENCODING = 2.0
"""Seconds that it may encode for: a large projector takes many for one image, and what it crashes
over is mostly there in the first layer."""
_LOADING = 120.0
_SLOWEST = 10 << 20  # bytes a second of a disk
# Width and height: the preparation of small, wide and tall ones differs.
_IMAGES = ((48, 32), (1500, 700), (300, 1400))
_SECONDS_OF_SOUND = 1

_lock = threading.Lock()
_passed: set[tuple[object, ...]] = set()


def probe(path: Path, files: list[Path], library: Path, options: Mapping[str, Any]) -> str | None:
    """Have a projector loaded and used by another process, unless that went well before.

    ``files`` are those of the model. Returns why it could not be tried, or None. LlamaModelError
    for what ends the process, or takes it too long; what it raises, is raised.
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
    with (
        tempfile.TemporaryFile() as errors,
        _child.start(python, __name__, job, errors) as process,
    ):

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


# -- the other process


def main() -> None:
    """Do what the job says, and tell."""
    job = _child.receive()
    _leave_nothing()
    from ..model.model import LlamaModel
    from ..native.library import LlamaLibrary
    from .multimodal import LlamaMultimodal

    library = LlamaLibrary(job["library"])
    model = LlamaModel.from_file(job["model"], library=library, vocab_only=True)
    _child.tell("ready", None)
    end = None
    try:
        _use(LlamaMultimodal(model, job["mmproj"], probe=False, **job["options"]))
    except (LlamaError, OSError, MemoryError) as error:
        end = str(error) or type(error).__name__
    _finish(end)


def _leave_nothing() -> None:
    """What crashes here leaves no file behind, and asks nobody."""
    if sys.platform == "win32":
        import ctypes

        # SEM_FAILCRITICALERRORS, SEM_NOGPFAULTERRORBOX
        ctypes.windll.kernel32.SetErrorMode(0x0001 | 0x0002)
    else:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _use(both: LlamaMultimodal) -> None:
    media = []
    if both.has_vision:
        for width, height in _IMAGES:
            row = bytes(i % 256 for i in range(3 * width))
            pixels = memoryview(row * height).cast("B", (height, width, 3))
            media.append(both.image(pixels))
    if both.has_audio:
        rate = both.sample_rate or 0
        samples = array("f", ((i % 50) / 100 for i in range(rate * _SECONDS_OF_SOUND)))
        media.append(both.audio(samples))
    prompts = [both.tokenize(f"a {both.marker}", [one]) for one in media]
    timer = threading.Timer(_ENCODING, _finish, (None,))
    timer.daemon = True
    timer.start()
    for prompt in prompts:
        both._try(prompt)


def _finish(end: str | None) -> None:
    """From any thread: the library may be busy, or stuck in an assertion."""
    _child.tell("end", end)
    os._exit(0)
