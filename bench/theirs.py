"""The work of `loop.c` with llama-cpp-python, as its documentation has it.

It runs in an environment that `peer.py` makes, where ``llama_cpp`` is llama-cpp-python.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable

from llama_cpp._internals import LlamaModel
from work import STOPS, Apart, Work, arguments, now, serve

import llama_cpp.llama_cpp as low
from llama_cpp import Llama

_FIELDS = low.llama_context_params._fields_
_AT = [name for name, *_ in _FIELDS].index("abort_callback")


class _Params(ctypes.Structure):
    """Its parameters, with the field that llama.cpp has since: all after it would be elsewhere."""

    _fields_ = [*_FIELDS[:_AT], ("moe_cache_size", ctypes.c_size_t), *_FIELDS[_AT:]]


low.llama_context_default_params.restype = _Params
low.llama_init_from_model.argtypes = [*low.llama_init_from_model.argtypes[:1], _Params]


class Theirs:
    """The model and the tasks."""

    def __init__(
        self, path: str, threads: int, units: int, text: str, apart: bool, embed: bool
    ) -> None:
        self.units = units
        self.text = text
        self.apart = Apart(low.llama_decode) if apart else None
        if self.apart:
            low.llama_decode = self.apart
        # Flash attention is libllama's own default.
        self.llm = Llama(
            path, n_ctx=max(4096, units + 512), n_batch=2048, n_threads=threads,
            n_threads_batch=threads, flash_attn=True, verbose=False, embedding=embed,
            pooling_type=low.LLAMA_POOLING_TYPE_MEAN if embed else -1,
        )  # fmt: skip

    def loop(self) -> Work:
        llm = self.llm

        def work() -> tuple[float, Iterable[int]]:
            tokens: list[int] = []
            begun = now()
            for token in llm.generate(llm.tokenize(self.text.encode()), temp=0.0):
                if token == llm.token_eos():
                    break
                tokens.append(token)
                if len(tokens) == self.units:
                    break
            return (now() - begun) / len(tokens), llm.detokenize(tokens)

        return self.apart.of(work) if self.apart else work

    def stream(self) -> Work:
        llm = self.llm

        def work() -> tuple[float, Iterable[int]]:
            begun = now()
            llm.reset()
            parts = [
                chunk["choices"][0]["text"]
                for chunk in llm.create_completion(
                    self.text, max_tokens=self.units, temperature=0, stop=STOPS, stream=True
                )
            ]
            return (now() - begun) / self.units, "".join(parts).encode()

        return self.apart.of(work) if self.apart else work

    def prompt(self) -> Work:
        llm = self.llm
        tokens = llm.tokenize(self.text.encode())[: self.units]

        def work() -> tuple[float, Iterable[int]]:
            llm.reset()
            begun = now()
            llm.eval(tokens)
            seconds = now() - begun
            return seconds / len(tokens), [llm.sample(temp=0.0)]

        return work

    def embed(self) -> Work:
        texts = self.text.splitlines()[: self.units]

        def work() -> tuple[float, Iterable[int]]:
            begun = now()
            found = self.llm.embed(texts, normalize=True)
            seconds = now() - begun
            return seconds / len(texts), [row.index(max(row)) for row in found]

        return work

    def load(self) -> Work:
        def work() -> tuple[float, Iterable[int]]:
            begun = now()
            params = low.llama_model_default_params()
            second = LlamaModel(path_model=self.llm.model_path, params=params, verbose=False)
            seconds = now() - begun
            n_tokens = second.n_vocab()
            second.close()
            return seconds, [n_tokens]

        return work

    def tokenize(self) -> Work:
        text = self.text.encode()

        def work() -> tuple[float, Iterable[int]]:
            begun = now()
            tokens = self.llm.tokenize(text, add_bos=False)
            return now() - begun, [len(tokens)]

        return work

    def detokenize(self) -> Work:
        tokens = self.llm.tokenize(self.text.encode(), add_bos=False)

        def work() -> tuple[float, Iterable[int]]:
            begun = now()
            text = self.llm.detokenize(tokens, special=True)
            return now() - begun, [len(text)]

        return work

    def pieces(self) -> Work:
        tokens = self.llm.tokenize(self.text.encode(), add_bos=False)

        def work() -> tuple[float, Iterable[int]]:
            begun = now()
            parts = [self.llm.detokenize([token], special=True) for token in tokens]
            return now() - begun, [len(b"".join(parts))]

        return work


def main() -> None:
    given = arguments()
    theirs = Theirs(
        given.model, given.threads, given.units, given.text, given.apart, given.task == "embed"
    )
    serve(getattr(theirs, given.task)(), given.busy)


if __name__ == "__main__":
    main()
