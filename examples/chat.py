"""A conversation in the terminal: answers as they are written, with all that was said before.

python examples/chat.py -m model.gguf [-s system] [-n n_predict] [-c n_ctx] [--temp temperature]

Ctrl-C stops an answer, Ctrl-D ends. Input that is not from a terminal is read line by line.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import suppress

from llama_cpp import Llama, LlamaError

Message = dict[str, str]


def lines() -> Iterator[str]:
    """The user's messages, until the end of the input."""
    if not sys.stdin.isatty():
        yield from (line.strip() for line in sys.stdin)
        return
    with suppress(ImportError):
        import readline  # noqa: F401  # arrow keys and a history for input()
    while True:
        try:
            yield input("> ").strip()
        except (EOFError, KeyboardInterrupt):
            print()
            return


def fit(llm: Llama, messages: list[Message], n_predict: int) -> None:
    """Forget the oldest exchanges until there is room for an answer."""
    first = 1 if messages[0]["role"] == "system" else 0
    while len(messages) - first > 1:
        if len(llm.chat_tokens(messages)) + n_predict <= llm.ctx.n_ctx:
            return
        del messages[first : first + 2]


def answer(llm: Llama, messages: list[Message], n_predict: int, temperature: float) -> str:
    """Write the next answer, and return it; after Ctrl-C only its beginning."""
    text = ""
    generation = llm.chat_stream(messages, max_tokens=n_predict, temperature=temperature)
    try:
        for piece in generation:
            print(piece, end="", flush=True)
            text += piece
    except KeyboardInterrupt:
        pass
    print(flush=True)
    return text


def main() -> int:
    """0 done, 1 failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(description="Talk with a model.")
    parser.add_argument("-m", dest="model", required=True, help="a GGUF model file")
    parser.add_argument("-s", dest="system", default="", help="what the model should be like")
    parser.add_argument("-n", dest="n_predict", type=int, default=512, help="tokens of an answer")
    parser.add_argument("-c", dest="n_ctx", type=int, default=4096, help="tokens of all")
    parser.add_argument("--temp", dest="temperature", type=float, default=0.8)
    options = parser.parse_args()
    if not 1 <= options.n_predict < options.n_ctx:
        parser.error("-n must be at least 1, and less than -c")
    messages: list[Message] = []
    if options.system:
        messages.append({"role": "system", "content": options.system})
    try:
        with Llama(options.model, n_ctx=options.n_ctx) as llm:
            for line in lines():
                if not line:
                    continue
                messages.append({"role": "user", "content": line})
                fit(llm, messages, options.n_predict)
                text = answer(llm, messages, options.n_predict, options.temperature)
                messages.append({"role": "assistant", "content": text})
    except (LlamaError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
