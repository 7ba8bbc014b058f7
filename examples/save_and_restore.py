"""Compute a prompt once, and go on from it as often as wanted: in forks, and in later runs.

python examples/save_and_restore.py -m model.gguf -s state.bin [-n n_predict] [prompt]

The first run computes the prompt and saves it to state.bin; the next one takes it from there, or
as much of it as another prompt begins with.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from llama_cpp import LlamaContext, LlamaError, LlamaModel, LlamaSampler, LlamaSequence


def generate(sequence: LlamaSequence, model: LlamaModel, n_predict: int, seed: int) -> str:
    """Up to ``n_predict`` tokens behind the sequence, as text."""
    sampler = LlamaSampler.chain().top_k(40).temp(0.8).dist(seed)
    decoder = model.decoder()
    text = ""
    for _ in range(n_predict):
        token = sequence.sample(sampler)
        if model.is_eog(token):
            break
        text += decoder.feed(token)
        sequence.extend([token])
    return text + decoder.finish()


def run(path: str, state: Path, prompt: str, n_predict: int) -> None:
    """Write three continuations of ``prompt`` to stdout, and how much was there to stderr."""
    with LlamaModel.from_file(path) as model:
        tokens = model.tokenize(prompt)
        if not tokens:
            raise ValueError("the prompt is empty: give at least one word")
        # A state has no outputs: the last token is decoded anew each time.
        head, last = tokens[:-1], tokens[-1:]
        n_ctx = max(1024, 2 * len(tokens) + n_predict)
        # In a unified cache, forks share the cells of their common beginning.
        with LlamaContext(model, n_ctx=n_ctx, n_seq_max=2, kv_unified=True) as ctx:
            sequence = ctx.sequence.load(state) if state.exists() else ctx.sequence()
            reused = len(head)
            if sequence.tokens != head:
                reused = sequence.set(head)
                sequence.save(state)
            print(f"{reused} of {len(tokens)} tokens were there", file=sys.stderr)
            for seed in range(3):
                with sequence.fork() as fork:
                    fork.extend(last)
                    print(f"{seed}: {prompt}{generate(fork, model, n_predict, seed)}")


def main() -> int:
    """0 done, 1 failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(description="Save a prompt, and go on from it.")
    parser.add_argument("-m", dest="model", required=True, help="a GGUF model file")
    parser.add_argument("-s", dest="state", required=True, type=Path, help="the file to save in")
    parser.add_argument("-n", dest="n_predict", type=int, default=16, help="tokens to generate")
    parser.add_argument("prompt", nargs="*", default=["Once upon a time there was"])
    options = parser.parse_args()
    if options.n_predict < 1:
        parser.error("-n must be at least 1")
    try:
        run(options.model, options.state, " ".join(options.prompt), options.n_predict)
    except (LlamaError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
