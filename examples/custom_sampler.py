"""A sampler written in Python: text without the letter e.

python examples/custom_sampler.py -m model.gguf [-n n_predict] [prompt]
"""

from __future__ import annotations

import argparse
import sys

from llama_cpp import Llama, LlamaError, LlamaModel, LlamaSampler
from llama_cpp.sampling import LlamaCandidates


class Without:
    """Forbids every token that contains a letter."""

    def __init__(self, model: LlamaModel, letter: str) -> None:
        tokens = range(model.vocab.n_tokens)
        self.forbidden = [t for t in tokens if letter in model.token_to_piece(t).lower()]

    def apply(self, candidates: LlamaCandidates) -> None:
        """Called for each token to be chosen. The first sampler of a chain has all the tokens in
        order, so that a token is its own place."""
        logits = candidates.logits
        for token in self.forbidden:
            logits[token] = float("-inf")


def generate(path: str, prompt: str, n_predict: int) -> None:
    """Write the prompt and its continuation to stdout."""
    with Llama(path, n_ctx=1024) as llm:
        sampler = LlamaSampler.chain().custom(Without(llm.model, "e"))
        sampler.penalties(llm.model, penalty_repeat=1.2).top_k(40).temp(0.7).dist(seed=1)
        print(prompt, end="", flush=True)
        for piece in llm.generate(prompt, max_tokens=n_predict, sampler=sampler):
            print(piece, end="", flush=True)
        print()


def main() -> int:
    """0 done, 1 failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(description="Generate text without the letter e.")
    parser.add_argument("-m", dest="model", required=True, help="a GGUF model file")
    parser.add_argument("-n", dest="n_predict", type=int, default=48, help="tokens to generate")
    parser.add_argument("prompt", nargs="*", default=["The sea"])
    options = parser.parse_args()
    try:
        generate(options.model, " ".join(options.prompt), options.n_predict)
    except (LlamaError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
