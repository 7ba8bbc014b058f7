"""Run by the doctor in a process of its own, which a broken library may end.

python -I _trial.py FOLDER [MODEL]

FOLDER has the package. Prints the devices, or with MODEL a few tokens, as a line of JSON.
"""

import json
import sys
from typing import Any

sys.path.insert(0, sys.argv[1])
import llama_cpp

del sys.path[0]


def _try(model: str | None) -> dict[str, Any]:
    if model is None:
        found = llama_cpp.devices(llama_cpp.LlamaLibrary.default())
        return {
            "devices": [f"{device.name} ({device.description})" for device in found],
            "gpu": any(not device.type.name.endswith("_CPU") for device in found),
        }
    with llama_cpp.Llama(model, n_ctx=64) as llm:
        return {"tokens": llm.complete("Hello", max_tokens=4, temperature=0).tokens}


if __name__ == "__main__":
    try:
        result = _try(sys.argv[2] if len(sys.argv) > 2 else None)
    except (llama_cpp.LlamaError, OSError, ValueError) as error:
        result = {"error": str(error)}
    print(json.dumps(result))
