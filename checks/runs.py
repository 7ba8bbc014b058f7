"""Long runs of one kind of character through every tokenizer of the source tree.

    python -m checks.runs [lengths, by default 1000 30000 100000 300000] [--of WORD ...]

Each vocabulary file and each pre-tokenizer (the names in llama-vocab.cpp, set in a file of GPT-2's
vocabulary) tokenizes each kind of run, and by default a line of 10 MB with all kinds. The witness
is the library itself, called in a thread whose stack holds anything; it takes a length that this
process survives only there. 0 all are equal.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import product

from codegen import source
from llama_cpp import LlamaModel, _raw

RUNS = {
    **{"spaces": " ", "letters": "a", "dots": ".", "digits": "7", "CJK": "中", "lines": "\n"},
    **{"tabs": "\t", "symbols": "$", "emoji": "🙂", "words of a letter": "a b "},
}
_LENGTHS = (1_000, 30_000, 100_000, 300_000)
_LINE = 1_000_000  # bytes of each kind
# The library takes time of the square of the length: a minute for 30,000. This package does not
# where it says so: there the witness is the end of a short run, again and again.
_SPM = dict.fromkeys(product(("llama-spm.gguf", "phi-3.gguf"), ("emoji", "lines", "tabs")), True)
_SLOW = {("superbpe", "digits"): False, **_SPM}


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


def texts(name: str, lengths: Sequence[int], *, whole: bool) -> Iterator[tuple[str, str]]:
    """The runs of ``lengths`` for the tokenizer ``name``; and with ``whole`` the line of 10 MB."""
    for kind, part in RUNS.items():
        for length in lengths:
            if length <= _LENGTHS[0] or _SLOW.get((name, kind), True):
                yield f"{length} {kind}", part * (length // len(part))
    if whole:
        parts = [part for kind, part in RUNS.items() if (name, kind) not in _SLOW]
        yield "10 MB", "".join(part * (_LINE // len(part.encode())) for part in parts)


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
    lengths = [int(word) for word in arguments if word.isdigit()]
    words = arguments[arguments.index("--of") + 1 :] if "--of" in arguments else []
    done, wrong = 0, []
    for name, model in tokenizers(words):
        begun, before = time.monotonic(), (done, len(wrong))
        for kind, text in texts(name, lengths or _LENGTHS, whole=not lengths):
            done += 1
            short = text[: _LENGTHS[0]] if (name, kind.split()[-1]) in _SLOW else text
            wanted = library_says(model, short)
            wanted += wanted[-len(text[-1].encode()) :] * (len(text) - len(short))
            if model.tokenize(text, add_special=False) != wanted:
                wrong.append(f"{name}: {kind}")
        model.close()
        counts = f"{done - before[0]} runs, {len(wrong) - before[1]} wrong"
        print(f"{name:32} {counts} {time.monotonic() - begun:7.1f} s", flush=True)
    print(f"{done} runs, {len(wrong)} with other tokens than the library's", *wrong, sep="\n")
    return bool(wrong) or not done


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
