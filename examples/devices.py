"""A library's devices, and their free memory.

python examples/devices.py [-m model.gguf [--device NAME ...]]

With a model, loads it on the devices that are named (all that there are without a name) and says
how much of their memory that took.
"""

from __future__ import annotations

import argparse
import sys

from llama_cpp import LlamaError, LlamaModel, devices
from llama_cpp.model import LlamaDevice

MIB = 1 << 20


def describe(device: LlamaDevice) -> str:
    """A device in a line."""
    kind = device.type.name.removeprefix("GGML_BACKEND_DEVICE_TYPE_")
    memory = f"{device.memory_free // MIB} of {device.memory_total // MIB} MiB free"
    return f"{device.name:10} {kind:5} {memory}, {device.description}"


def main() -> int:
    """0 done, 1 failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(description="List the devices, load a model on some.")
    parser.add_argument("-m", dest="model", help="a GGUF model file")
    parser.add_argument("--device", action="append", help="the name of a device, for the model")
    options = parser.parse_args()
    try:
        found = devices()
        for device in found:
            print(describe(device))
        if options.model is None:
            return 0
        before = {device: device.memory_free for device in found}
        chosen = found if options.device is None else options.device
        with LlamaModel.from_file(options.model, devices=chosen, n_gpu_layers=-1) as model:
            print(f"{model.description}, {model.size // MIB} MiB")
            for device, free in before.items():
                print(f"{device.name:10} {(free - device.memory_free) // MIB} MiB taken")
    except (LlamaError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
