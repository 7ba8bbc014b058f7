"""The process that tries a projector, for `llama_cpp.generate.probe`: it may crash."""

from __future__ import annotations

import os
import sys
import threading
from array import array

from ..errors import LlamaError
from ..model.model import LlamaModel
from ..native import child as _child
from ..native.library import LlamaLibrary
from .multimodal import LlamaMultimodal

_ENCODING = 2.0
"""Seconds that it may encode for: a large projector takes many for one image, and most crashes are
in the first layer."""
# Width and height: the preparation of small, wide and tall ones differs.
_IMAGES = ((48, 32), (1500, 700), (300, 1400))
_SECONDS_OF_SOUND = 1


def main() -> None:
    """Do the job, and report."""
    job = _child.receive()
    _leave_nothing()
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
    """Make a crash here leave no core file, and show no dialog."""
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
        both.try_out(prompt)


def _finish(end: str | None) -> None:
    """From any thread: the library may be busy, or stuck in an assertion."""
    _child.tell("end", end)
    os._exit(0)
