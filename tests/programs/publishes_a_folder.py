"""Publishes a folder that takes a while to build: FINAL SECONDS."""

import sys
import time
from pathlib import Path

from llama_cpp.engine.publish import publish

with publish(Path(sys.argv[1]), label="it") as work:
    if work is None:
        print("found it")
    else:
        (work / "a").touch()
        print("building", flush=True)
        time.sleep(float(sys.argv[2]))
