"""Every operation on positions with types of KV caches, all with ALL: MODEL FLASH [ALL].

Prints each kind of operation's exception, once, and ``done``: an abort would come before.
"""

import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

from llama_cpp import Llama, LlamaContext, LlamaModel, LlamaSequence, _raw
from llama_cpp.context.params import _CACHE_TYPES
from llama_cpp.errors import LlamaError

MODEL, FLASH, *ALL = sys.argv[1:]
_T = _raw.ggml_type
KEYS = [_T.GGML_TYPE_F16, _T.GGML_TYPE_BF16, _T.GGML_TYPE_Q4_0, _T.GGML_TYPE_IQ4_NL]
VALUES = [_raw.ggml_type.GGML_TYPE_Q8_0 if FLASH == "1" else _raw.ggml_type.GGML_TYPE_F16]
TEXT = list(range(300, 348))


def add(ctx: LlamaContext, sequence: LlamaSequence) -> None:
    ctx.memory.seq_add(0, 24, -1, -8)


def divide(ctx: LlamaContext, sequence: LlamaSequence) -> None:
    ctx.memory.seq_div(0, 0, -1, 2)


def shift(ctx: LlamaContext, sequence: LlamaSequence) -> None:
    sequence.shift(4, 8)


def copy(ctx: LlamaContext, sequence: LlamaSequence) -> None:
    other = ctx.sequence()
    other.copy_from(sequence)
    other.append(301)
    ctx.memory.seq_cp(0, 1)
    ctx.memory.seq_keep(0)


def rewind(ctx: LlamaContext, sequence: LlamaSequence) -> None:
    sequence.set([*TEXT[:20], 305])
    ctx.memory.seq_rm(0, 10, 15)


def states(ctx: LlamaContext, sequence: LlamaSequence) -> None:
    ctx.sequence.from_bytes(sequence.to_bytes()).append(301)
    with tempfile.TemporaryDirectory() as folder:
        ctx.save(Path(folder, "state"))
        ctx.load(Path(folder, "state"))


def snapshot(ctx: LlamaContext, sequence: LlamaSequence) -> None:
    if taken := sequence.snapshot():
        sequence.clear()
        sequence.restore(taken, TEXT)


OPERATIONS = (add, divide, shift, copy, rewind, states, snapshot)


def context_shift(model: LlamaModel, params: dict[str, Any]) -> None:
    with Llama(model, **params) as llm:
        never = {token: -1e9 for token in range(model.vocab.n_tokens) if model.is_eog(token)}
        llm.complete(TEXT, max_tokens=100, context_shift=True, logit_bias=never)


def main() -> None:
    """Try all types; the next decode does an operation's postponed work."""
    raised = set()
    model = LlamaModel.from_file(MODEL)
    for k, v in product(*[_CACHE_TYPES] * 2) if ALL else product(KEYS, VALUES):
        params: dict[str, Any] = {"n_ctx": 128, "n_threads": 1, "type_k": k, "type_v": v}
        params["flash_attn_type"] = int(FLASH)
        for operation in (*OPERATIONS, None):
            name = "context_shift" if operation is None else operation.__name__
            try:
                if operation is None:
                    context_shift(model, params)
                    continue
                with LlamaContext(model, n_seq_max=2, **params) as ctx:
                    sequence = ctx.sequence()
                    sequence.set(TEXT)
                    operation(ctx, sequence)
                    ctx.decode([301])
            except LlamaError as error:
                raised.add(f"{name}: {type(error).__name__}: {error}")
    print(*sorted(raised), "done", sep="\n")


main()
