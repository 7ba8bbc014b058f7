"""Typical programs with the package, as their users write them.

tests/test_user_program.py runs it, and has mypy and pyright check it in their strict modes.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np

from llama_cpp import (
    AsyncLlama,
    Llama,
    LlamaBatch,
    LlamaCancelled,
    LlamaContext,
    LlamaLibrary,
    LlamaModel,
    LlamaSampler,
    PromptLookup,
    _raw,
    devices,
)
from llama_cpp.sampling import LlamaCandidates


def stream(path: Path) -> str:
    """Text in three lines."""
    text = ""
    with Llama(path, n_ctx=256) as llm:
        for piece in llm.generate("Once upon a time", max_tokens=8):
            text += piece
    return text


def chat(path: Path) -> tuple[str, int]:
    """An answer, and its usage."""
    with Llama(path, n_ctx=256) as llm:
        messages = [{"role": "user", "content": "Name three colours."}]
        reply = llm.chat(messages, temperature=0.7, seed=1, max_tokens=8)
        assert reply.finish_reason in ("stop", "length")
        assert reply.timings.tokens_per_second >= 0
        return reply.text, reply.usage.completion_tokens


def embed(path: Path) -> tuple[int, ...]:
    """Vectors of unit length that numpy takes as they are."""
    with Llama(path, n_ctx=256) as llm:
        vectors = np.asarray(llm.embed(["a cat", "a dog"]))
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
        return vectors.shape


def layer_underneath(path: Path) -> str:
    """A loop after llama.cpp's simple.cpp."""
    reports: list[float] = []
    model = LlamaModel.from_file(path, n_gpu_layers=99, progress=reports.append)
    tokens = model.tokenize("Hello my name is")
    text = ""
    with LlamaContext(model, n_ctx=128, n_batch=128) as ctx:
        sampler = LlamaSampler.chain().top_k(40).top_p(0.95).temp(0.8).dist(seed=42)
        ctx.decode(LlamaBatch(tokens))
        for _ in range(8):
            token = sampler.sample(ctx)
            if model.is_eog(token):
                break
            text += model.token_to_piece(token)
            ctx.decode(LlamaBatch([token]))
        logits = np.asarray(ctx.logits(-1))
        assert logits.shape == (model.vocab.n_tokens,)
    assert reports[-1] == 1.0
    return f"{model.metadata['general.architecture']} {model.vocab.bos} {model.n_ctx_train} {text}"


def sequences(path: Path, state: Path) -> list[int]:
    """Two sequences that share their beginning, and one restored from a file."""
    model = LlamaModel.from_file(path)
    with LlamaContext(model, n_ctx=256, n_seq_max=4, kv_unified=True) as ctx:
        seq = ctx.sequence()
        seq.extend(model.tokenize("You are a helpful assistant."))
        a, b = seq.fork(), seq.fork()
        a.extend(model.tokenize(" What is a cat?", add_special=False))
        b.extend(model.tokenize(" What is a dog?", add_special=False))
        a.save(state)
        with LlamaContext(model, n_ctx=256, n_seq_max=4, kv_unified=True) as other:
            later = other.sequence.load(state)
            assert later.tokens == a.tokens
            return [len(seq), len(a), len(b), len(later)]


def many(path: Path, prompts: list[str]) -> list[str]:
    """Continuous batching."""
    outputs = [""] * len(prompts)
    with Llama(path, n_ctx=512, n_seq_max=4) as llm:
        for index, piece in llm.generate_many(prompts, max_tokens=8, temperature=0):
            outputs[index] += piece
    return outputs


def constrained(path: Path) -> str:
    """A grammar."""
    with Llama(path, n_ctx=256) as llm:
        chain = LlamaSampler.chain().grammar(llm.model, 'root ::= "yes" | "no"', "root")
        return llm.complete("Is water wet?", sampler=chain.top_k(40).dist(seed=1)).text


class NoNewline:
    """A sampler in Python."""

    def __init__(self, newline: int) -> None:
        self.newline = newline

    def apply(self, candidates: LlamaCandidates) -> None:
        """Never a new line."""
        records = np.asarray(candidates)
        records["logit"][records["id"] == self.newline] = -np.inf


def custom(path: Path) -> str:
    """Text without a new line."""
    with Llama(path, n_ctx=256) as llm:
        newline = llm.model.tokenize("\n", add_special=False)[0]
        sampler = LlamaSampler.chain().custom(NoNewline(newline)).greedy()
        return llm.complete("List:\n1.", sampler=sampler, max_tokens=16).text


def cancelled(path: Path) -> bool:
    """A time limit; the context stays usable."""
    with Llama(path, n_ctx=2048) as llm:
        try:
            with llm.cancel_after(0.05):
                llm.complete("word " * 1900, max_tokens=100)
        except LlamaCancelled:
            return len(llm.complete("Hello", max_tokens=2).tokens) <= 2
    return False


def guessed(path: Path) -> bool:
    """Speculative decoding gives the same text."""
    prompt = "one two three one two three one two"
    with Llama(path, n_ctx=256) as llm:
        plain = llm.complete(prompt, max_tokens=16, temperature=0)
        guess = llm.complete(prompt, max_tokens=16, temperature=0, draft=PromptLookup())
        return plain.tokens == guess.tokens


async def waiting(path: Path) -> list[str]:
    """The async form."""
    async with AsyncLlama(path, n_ctx=256) as llm:
        pieces = [piece async for piece in llm.generate("Hello", max_tokens=4)]
        reply = await llm.complete("Hello", max_tokens=4)
        return ["".join(pieces), reply.text]


def asynchronous(path: Path) -> list[str]:
    """The async form, run."""
    return asyncio.run(waiting(path))


def raw(path: Path) -> int:
    """The C API itself."""
    params = _raw.llama_model_default_params()
    params.n_gpu_layers = 0
    model = _raw.llama_model_load_from_file(str(path).encode(), params)
    assert model is not None
    n_layer = _raw.llama_model_n_layer(model)
    _raw.llama_model_free(model)
    return n_layer


def own_library(path: Path, library: Path) -> Any:
    """The user's own libllama, and its devices."""
    own = LlamaLibrary(library)
    model = LlamaModel.from_file(path, library=own)
    return [device.name for device in devices(own)], repr(model)
