"""Text that has to follow a grammar: a person as JSON, and how sure the model was of it.

python examples/constrained_output.py -m model.gguf [text about a person]
"""

from __future__ import annotations

import argparse
import json
import math
import sys

from llama_cpp import Llama, LlamaError

# GBNF, see grammars/README.md of llama.cpp.
GRAMMAR = r"""
root   ::= " {\"name\": " string ", \"age\": " age ", \"city\": " (string | "null") "}"
string ::= "\"" [A-Za-z .'-]{1,30} "\""
age    ::= [1-9] [0-9]? | "null"
"""
PROMPT = """Text: Ada Lovelace, 36, lived in London.
JSON: {"name": "Ada Lovelace", "age": 36, "city": "London"}
Text: %s
JSON:"""


def extract(path: str, text: str) -> None:
    """Write the facts of the text, as JSON, to stdout, and the least likely token to stderr."""
    with Llama(path, n_ctx=1024) as llm:
        done = llm.complete(PROMPT % text, grammar=GRAMMAR, temperature=0, logprobs=0)
    print(json.dumps(json.loads(done.text)))
    least = min(done.logprobs, key=lambda token: token.logprob)
    print(f"least sure of {least.text!r}: {math.exp(least.logprob):.0%}", file=sys.stderr)


def main() -> int:
    """0 done, 1 failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(description="Read a person out of a text.")
    parser.add_argument("-m", dest="model", required=True, help="a GGUF model file")
    parser.add_argument("text", nargs="*", default=["Alan Turing was 41 and lived in Wilmslow."])
    options = parser.parse_args()
    try:
        extract(options.model, " ".join(options.text))
    except (LlamaError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
