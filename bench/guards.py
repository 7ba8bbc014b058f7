"""The cost of the checks that keep a wrong call from ending the process: each guarded call next to
its C function, called without checks."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable

from llama_cpp import LlamaContext, LlamaLibrary, LlamaModel, LlamaSampler, _raw

from .measure import Contender, Spread, each, interleaved
from .place import PROMPT, Place
from .report import Row, Table

_LONG = 512  # tokens
_GRAMMAR = 'root ::= "[" (number ("," number)*)? "]"\nnumber ::= [0-9]+'
Pair = tuple[str, int, Callable[[], object], Callable[[], object]]
"""The call's name, its repetitions for one number, the call with the checks, and without."""


def guards(place: Place) -> Table:
    """Processor time, of all threads: the calls that may abort are made in one of their own."""
    table = Table("what checks cost: a guarded call over the bare one, processor time")
    contenders: dict[str, Contender] = {}
    pairs = [*_computed(place), *_null(place)]
    for name, times, guarded, bare in pairs:
        contenders[name] = each(guarded, times, time.process_time)
        contenders[f"{name}, bare"] = each(bare, times, time.process_time)
    found = interleaved(contenders, place.rounds)
    for name, *_ in pairs:
        ours, bare_ = found[name], found[f"{name}, bare"]
        over = Spread.of([1e6 * (a - b) for a, b in zip(ours, bare_, strict=True)])
        both = [f"{1e6 * Spread.of(values).median:,.1f}" for values in (ours, bare_)]
        table.rows.append(Row(name, over, "us", note=f"{both[0]} us, bare {both[1]} us"))
    table.remarks.append("decode and tokenize on the null engine; the rest on the tiny model")
    return table


def _computed(place: Place) -> list[Pair]:
    """Where the library itself has work to do."""
    library = LlamaLibrary.default()
    path = place.tiny_model
    name = str(path).encode()

    def load_bare() -> None:
        params = library.llama_model_default_params()
        library.llama_model_free(library.llama_model_load_from_file(name, params))

    model = LlamaModel.from_file(path)
    raw = library.llama_context_default_params()
    raw.n_threads = raw.n_threads_batch = 1

    def context() -> LlamaContext:
        return LlamaContext(model, n_threads=1, n_threads_batch=1)

    ctx = context()
    ctx.decode(model.tokenize(PROMPT))
    state = ctx.to_bytes()
    size = library.llama_state_get_size(ctx.handle)
    data = (ctypes.c_uint8 * size)()

    def grammar_bare() -> None:
        made = library.llama_sampler_init_grammar(model.vocab.handle, _GRAMMAR.encode(), b"root")
        library.llama_sampler_free(made)

    chain = LlamaSampler.chain
    return [
        ("load", 1, lambda: LlamaModel.from_file(path).close(), load_bare),
        (
            "make a context", 5, lambda: context().close(),
            lambda: library.llama_free(library.llama_init_from_model(model.handle, raw)),
        ),
        (
            "save the state", 5, ctx.to_bytes,
            lambda: library.llama_state_get_data(ctx.handle, data, size),
        ),
        (
            "restore the state", 5, lambda: ctx.restore(state),
            lambda: library.llama_state_set_data(ctx.handle, data, size),
        ),
        ("a grammar", 20, lambda: chain(library).grammar(model, _GRAMMAR).close(), grammar_bare),
    ]  # fmt: skip


def _null(place: Place) -> list[Pair]:
    """Where it is Python's time alone that counts."""
    library = LlamaLibrary(place.null_library)
    short = library.short
    model = LlamaModel.from_file(place.null_model, library=library)
    ctx = LlamaContext(model, n_ctx=4096)
    one, many = [5], list(range(5, 5 + _LONG))
    text = PROMPT.encode()
    room = (_raw.llama_token * 64)()

    def decode_bare(tokens: list[int]) -> Callable[[], object]:
        array = (_raw.llama_token * len(tokens))(*tokens)
        batch = library.llama_batch_get_one(array, len(tokens))
        batch.token, batch.n_tokens = array, len(tokens)
        return lambda: library.llama_decode(ctx.handle, batch)

    return [
        ("decode of 1 token", 5000, lambda: ctx.decode((5,)), decode_bare(one)),
        (f"decode of {_LONG} tokens", 500, lambda: ctx.decode(many), decode_bare(many)),
        (
            "tokenize", 2000, lambda: model.tokenize(PROMPT),
            lambda: short.llama_tokenize(
                model.vocab.handle, text, len(text), room, len(room), True, False
            ),
        ),
    ]  # fmt: skip
