"""Long runs of one kind of character through every tokenizer of the source tree.

    python -m checks.runs [lengths, by default 1000 30000 300000] [--of WORD ...]

Each vocabulary file and each pre-tokenizer (the names in llama-vocab.cpp, set in a file of GPT-2's
vocabulary) tokenizes each kind of run. The witness is the library itself, called in a thread whose
stack holds anything; it takes a length that this process survives only there. 0 all are equal.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Iterator

from codegen import source
from llama_cpp import LlamaModel, _raw

RUNS = {
    **{"spaces": " ", "letters": "a", "dots": ".", "digits": "7", "CJK": "中", "lines": "\n"},
    **{"tabs": "\t", "symbols": "$", "emoji": "🙂", "words of a letter": "a b "},
}
_LENGTHS = (1_000, 30_000, 300_000)
# The library takes time of the square of the length: a minute for 30,000.
_SLOW = {("superbpe", "digits")}


def tokenizers(words: list[str]) -> Iterator[tuple[str, LlamaModel]]:
    """Those whose names are in ``words``, or all."""
    tree = source.resolve().root
    files = {path.stem[11:]: path for path in sorted(tree.glob("models/ggml-vocab-*.gguf"))}
    code = (tree / "src" / "llama-vocab.cpp").read_text("utf-8")
    for name, path in files.items():
        if not words or name in words:
            yield f"{name}.gguf", LlamaModel.from_file(path, vocab_only=True)
    for pre in sorted(set(re.findall(r'tokenizer_pre == "([^"]+)"', code)) - {"whitespace"}):
        if not words or pre in words:
            overrides = {"tokenizer.ggml.pre": pre}
            model = LlamaModel.from_file(files["gpt-2"], vocab_only=True, kv_overrides=overrides)
            yield pre, model


def library_says(model: LlamaModel, text: str) -> list[int]:
    """The tokens that the library gives, in a thread with a stack of 8 GiB."""
    data, found = text.encode(), list[int]()

    def ask() -> None:
        tokens = (_raw.llama_token * (len(data) + 8))()
        count = model.library.llama_tokenize(
            model.vocab.handle, data, len(data), tokens, len(tokens), False, False
        )
        found.extend(tokens[:count])

    before = threading.stack_size(8 << 30)
    try:
        thread = threading.Thread(target=ask)
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    return found


def main(arguments: list[str]) -> int:
    lengths = [int(word) for word in arguments if word.isdigit()] or _LENGTHS
    words = arguments[arguments.index("--of") + 1 :] if "--of" in arguments else []
    done, wrong = 0, []
    for name, model in tokenizers(words):
        begun = time.monotonic()
        for kind, part in RUNS.items():
            for length in lengths:
                if length > _LENGTHS[0] and (name, kind) in _SLOW:
                    continue
                text = part * (length // len(part))
                done += 1
                if model.tokenize(text, add_special=False) != library_says(model, text):
                    wrong.append(f"{name}: {length} {kind}")
        model.close()
        print(f"{name:32} {time.monotonic() - begun:6.1f} s", flush=True)
    print(f"{done} runs, {len(wrong)} with other tokens than the library's", *wrong, sep="\n")
    return bool(wrong) or not done


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
