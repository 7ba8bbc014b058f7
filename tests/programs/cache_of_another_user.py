"""Prints the cache folder, or the error: FOLDER OWNER MODE USER."""

import dataclasses  # noqa: F401 (the other user may not see the folder of Python)
import json  # noqa: F401
import os
import pathlib  # noqa: F401
import shlex  # noqa: F401
import sys

from llama_cpp.engine.find import cache_root

os.chown(sys.argv[1], int(sys.argv[2]), -1)
os.chmod(sys.argv[1], int(sys.argv[3], 8))
os.seteuid(int(sys.argv[4]))
try:
    print(cache_root())
except Exception as error:
    print(type(error).__name__, error)
