"""Run the table of wrong uses, and count.

    python -m tests.misuse [--peer]

Prints cases, passed, failed, and each case that failed. With ``--peer`` also the results of the
nearest calls of llama-cpp-python, on the same libllama. 0 when none of ours failed, 1 otherwise.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from checks import misuse_peer
from examples.fetch_model import fetch_model
from tests.misuse.cases import ROWS
from tests.misuse.runner import outcomes
from tests.support import tiny


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the table of wrong uses.")
    parser.add_argument("--peer", action="store_true", help="llama-cpp-python's nearest calls, too")
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small = tiny.make("llama", folder)
        found = outcomes(ROWS, fetch_model(), small, folder)
        for row, outcome in zip(ROWS, found, strict=True):
            if outcome.problem:
                failed += 1
                print(f"{row.code}\n    {outcome.problem}", flush=True)
        print(f"cases {len(ROWS)}, passed {len(ROWS) - failed}, failed {failed}", flush=True)
        if options.peer:
            misuse_peer.compare(small)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
