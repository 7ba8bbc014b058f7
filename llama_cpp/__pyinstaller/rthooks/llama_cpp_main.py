"""Runs in a program that PyInstaller has made, before its own code.

A frozen program has no Python interpreter to start, so for a process of our own (the one that tries
a projector, the one that ends a server) it starts itself, with this argument.
"""

import sys

sys._llama_py = True  # type: ignore[attr-defined]
if sys.argv[1:2] == ["--llama-py-main"]:
    import importlib
    import os

    code = importlib.import_module(sys.argv[2]).main(*sys.argv[3:])
    sys.stdout.flush()
    os._exit(code or 0)
