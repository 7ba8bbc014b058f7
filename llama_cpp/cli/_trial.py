"""Run by the doctor in a process of its own, which a broken library may end.

python -I _trial.py FOLDER [MODEL]

FOLDER has the package. Prints the devices, and the backends in files of their own with the reason
why one cannot be loaded, or with MODEL a few tokens, as a line of JSON.
"""

import ctypes
import json
import re
import sys
from typing import Any

sys.path.insert(0, sys.argv[1])
import llama_cpp
from llama_cpp.engine.find import BACKENDS

del sys.path[0]


def _try(model: str | None) -> dict[str, Any]:
    if model is None:
        library = llama_cpp.LlamaLibrary.default()
        found = llama_cpp.devices(library)
        return {
            "backends": _backends(library),
            "devices": [f"{device.name} ({device.description})" for device in found],
            "gpu": any(not device.type.name.endswith("_CPU") for device in found),
        }
    with llama_cpp.Llama(model, n_ctx=64) as llm:
        return {"tokens": llm.complete("Hello", max_tokens=4, temperature=0).tokens}


def _backends(library: llama_cpp.LlamaLibrary) -> dict[str, str]:
    """Backend -> the loader's words, or nothing. The library says nothing when it skips a file."""
    found = {}
    for path in sorted(library.path.parent.glob("*ggml-*")):
        name = re.fullmatch(r"(?:lib)?ggml-(\w+)\.(?:so|dll|dylib)", path.name)
        if name and name[1] in BACKENDS:
            try:
                ctypes.CDLL(str(path))
            except OSError as error:
                found[name[1]] = str(error)
            else:
                found[name[1]] = ""
    return found


if __name__ == "__main__":
    try:
        result = _try(sys.argv[2] if len(sys.argv) > 2 else None)
    except (llama_cpp.LlamaError, OSError, ValueError) as error:
        result = {"error": str(error)}
    print(json.dumps(result))
