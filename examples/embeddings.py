"""How near texts are to a query: the cosine of the angle between their embeddings.

    python examples/embeddings.py -m MODEL.gguf QUERY TEXT [TEXT ...]

Any model will do; one made for embeddings does it best. It writes the texts, nearest first.
"""

from __future__ import annotations

import argparse
import sys
from operator import mul
from typing import Any

from llama_cpp import Llama, LlamaError


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("-m", "--model", required=True, help="a GGUF file")
    parser.add_argument("query")
    parser.add_argument("texts", nargs="+")
    args = parser.parse_args()
    try:
        with Llama(args.model) as llm:
            # Vectors of length 1, as lists; np.asarray would take them without a copy.
            rows: Any = llm.embed([args.query, *args.texts]).tolist()
    except (LlamaError, OSError, ValueError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    query, *others = rows
    near = [(sum(map(mul, query, row)), text) for row, text in zip(others, args.texts, strict=True)]
    for cosine, text in sorted(near, reverse=True):
        print(f"{cosine:.3f}  {text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
