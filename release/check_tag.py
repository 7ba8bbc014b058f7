"""Check that a git tag belongs to the version, before anything is built for it.

    python -m release.check_tag v0.1.11549

Exit code 0 if it does, 1 if not.
"""

from __future__ import annotations

import argparse
import sys

from llama_cpp import __version__


def main() -> int:
    parser = argparse.ArgumentParser(description="Check that the git tag belongs to the version.")
    parser.add_argument("tag", help="such as v0.1.11549, or v0.1.11549.post1")
    tag = parser.parse_args().tag
    if tag != f"v{__version__}":
        print(
            f"error: the git tag is {tag!r}, and the version {__version__}, whose tag is "
            f"v{__version__}: see llama_cpp/_version.py",
            file=sys.stderr,
        )
        return 1
    print(f"{tag}: the tag of this version")
    return 0


if __name__ == "__main__":
    sys.exit(main())
