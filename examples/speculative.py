"""Generate faster with drafts: from the prompt itself, or from a smaller model.

    python examples/speculative.py MODEL [--draft SMALL_MODEL] [--prompt TEXT] [--max-tokens N]

It generates the same text without and with drafts, and says how many of them were right.
"""

from __future__ import annotations

import argparse
import sys

from llama_cpp import DraftModel, Llama, PromptLookup
from llama_cpp.errors import LlamaError
from llama_cpp.generate import Draft

PROMPT = """Repeat this code, with the function renamed to total:

def add_all(numbers):
    result = 0
    for number in numbers:
        result += number
    return result

"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", help="a GGUF file")
    parser.add_argument("--draft", help="a GGUF file of a smaller model with the same vocabulary")
    parser.add_argument("--prompt", default=PROMPT)
    parser.add_argument("--max-tokens", type=int, default=64)
    arguments = parser.parse_args()

    draft: Draft = DraftModel(arguments.draft) if arguments.draft else PromptLookup()
    with Llama(arguments.model) as llm:
        prompt = [{"role": "user", "content": arguments.prompt}]
        options = {"max_tokens": arguments.max_tokens, "temperature": 0, "cache_prompt": False}
        without = llm.chat(prompt, **options)
        done = llm.chat(prompt, draft=draft, **options)
    print(done.text)
    print(f"the same text: {done.text == without.text}")
    print(f"drafted {done.usage.drafted_tokens}, right {done.usage.accepted_tokens}")
    for name, each in (("without", without), ("with", done)):
        print(f"{each.timings.tokens_per_second:.1f} tokens/s {name} drafts")


if __name__ == "__main__":
    try:
        main()
    except (LlamaError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
