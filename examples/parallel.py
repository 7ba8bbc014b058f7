"""Many prompts at a time, after llama.cpp's examples/parallel.

python examples/parallel.py -m model.gguf [-np n_parallel] [-n n_predict] [-c n_ctx] [file]

The questions are the lines of the file; without one, there are a few.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from llama_cpp import Llama, LlamaError

SYSTEM = "You are a helpful assistant. Answer in one short sentence."
QUESTIONS = (
    "What is the capital of France?",
    "Name three colours.",
    "How many legs does a spider have?",
    "What is the largest planet?",
    "Who wrote Hamlet?",
    "What is water made of?",
)


def ask(llm: Llama, questions: list[str], n_predict: int) -> None:
    """Write the answers to stdout, the speed to stderr."""
    # Taken one by one, when there is place for the next: it could be a list without an end.
    prompts = (
        llm.chat_tokens(
            [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
        )
        for question in questions
    )
    answers = ["" for _ in questions]
    started = time.perf_counter()
    many = llm.generate_many(prompts, max_tokens=n_predict, temperature=0)
    for index, piece in many:
        answers[index] += piece
    seconds = time.perf_counter() - started
    for question, answer in zip(questions, answers, strict=True):
        print(f"Q: {question}\nA: {answer.strip()}\n")
    usages = [generation.usage for generation in many.generations]
    generated = sum(usage.completion_tokens for usage in usages)
    print(
        f"generated {generated} tokens in {seconds:.2f} s, speed: {generated / seconds:.2f} t/s; "
        f"of {sum(usage.prompt_tokens for usage in usages)} tokens of prompts, "
        f"{sum(usage.cached_tokens for usage in usages)} were there already",
        file=sys.stderr,
    )


def main() -> int:
    """0 done, 1 failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(description="Answer many questions at a time.")
    parser.add_argument("-m", dest="model", required=True, help="a GGUF model file")
    parser.add_argument("-np", dest="n_parallel", type=int, default=4, help="how many at a time")
    parser.add_argument("-n", dest="n_predict", type=int, default=64, help="tokens of an answer")
    parser.add_argument("-c", dest="n_ctx", type=int, default=4096, help="tokens of all")
    parser.add_argument("file", nargs="?", type=Path, help="a question in each line")
    options = parser.parse_args()
    if options.n_predict < 1 or options.n_parallel < 1:
        parser.error("-n and -np must be at least 1")
    try:
        questions: list[str] = [*QUESTIONS]
        if options.file is not None:
            text = options.file.read_text(encoding="utf-8")
            questions = [line.strip() for line in text.splitlines() if line.strip()]
        with Llama(options.model, n_ctx=options.n_ctx, n_seq_max=options.n_parallel) as llm:
            ask(llm, questions, options.n_predict)
    except (LlamaError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
