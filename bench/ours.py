"""The work of `loop.c` with this package: ``python -m bench.ours TASK MODEL ...``."""

from __future__ import annotations

import importlib
from collections.abc import Iterable

from llama_cpp import Llama, LlamaBatch, LlamaContext, LlamaModel, LlamaSampler, _raw

from .work import STOPS, Apart, Work, arguments, now, serve

N_CTX = 4096
STEPS = 32


class Ours:
    """The model and the tasks."""

    def __init__(self, path: str, threads: int, units: int, text: str) -> None:
        self.model = LlamaModel.from_file(path)
        self.threads = threads
        self.units = units
        self.text = text

    def context(self, n_seq_max: int = 1) -> LlamaContext:
        return LlamaContext(
            self.model, n_ctx=self.room(), n_threads=self.threads, n_threads_batch=self.threads,
            n_seq_max=n_seq_max,
        )  # fmt: skip

    def room(self) -> int:
        return max(N_CTX, self.units + 512)

    def llama(self) -> Llama:
        return Llama(
            self.model, n_ctx=self.room(), n_threads=self.threads, n_threads_batch=self.threads
        )

    def loop(self, apart: bool = False) -> Work:
        """Token by token with LlamaContext and LlamaSampler."""
        model, ctx = self.model, self.context()
        sampler = LlamaSampler.chain(model.library).greedy()

        def work() -> tuple[float, Iterable[int]]:
            ctx.memory.seq_rm()
            sampler.reset()
            parts: list[str] = []
            n = 0
            begun = now()
            ctx.decode(model.tokenize(self.text))
            decoder = model.decoder()
            while True:
                token = sampler.sample(ctx)
                if model.is_eog(token):
                    break
                parts.append(decoder.feed(token))
                n += 1
                if n == self.units:
                    break
                ctx.decode((token,))
            return (now() - begun) / n, "".join(parts).encode()

        return self._apart(ctx).of(work) if apart else work

    def bare(self) -> Work:
        """As `loop`, and nothing but the calls that it cannot do without: decode and sample."""
        ctx = self.context()
        sampler = LlamaSampler.chain(self.model.library).greedy()

        def work() -> tuple[float, Iterable[int]]:
            ctx.memory.seq_rm()
            sampler.reset()
            ctx.decode(self.model.tokenize(self.text))
            begun = now()
            for _ in range(self.units):
                ctx.decode((sampler.sample(ctx),))
            return (now() - begun) / self.units, ()

        return work

    def stream(self, apart: bool = False) -> Work:
        """Text from Llama.generate."""
        llm = self.llama()

        def work() -> tuple[float, Iterable[int]]:
            begun = now()
            generation = llm.generate(
                self.text, max_tokens=self.units, temperature=0, stop=STOPS, cache_prompt=False
            )
            text = "".join(generation)
            return (now() - begun) / len(generation.tokens), text.encode()

        return self._apart(llm.ctx).of(work) if apart else work

    def _apart(self, ctx: LlamaContext) -> Apart:
        ctx.core.decode = apart = Apart(ctx.core.decode)
        return apart

    def prompt(self) -> Work:
        ctx = self.context()
        sampler = LlamaSampler.chain(self.model.library).greedy()
        tokens = self.model.tokenize(self.text)[: self.units]

        def work() -> tuple[float, Iterable[int]]:
            ctx.memory.seq_rm()
            begun = now()
            ctx.decode(tokens)
            seconds = now() - begun
            return seconds / len(tokens), [sampler.sample(ctx)]

        return work

    def parallel(self) -> Work:
        n = self.units
        ctx = self.context(n)
        sampler = LlamaSampler.chain(self.model.library).greedy()
        tokens = self.model.tokenize(self.text)

        def work() -> tuple[float, Iterable[int]]:
            for seq_id in range(n):
                ctx.memory.seq_rm(seq_id)
            chosen, found = [0] * n, []
            decoders = [self.model.decoder() for _ in range(n)]
            begun = now()
            for seq_id in range(n):
                ctx.decode(LlamaBatch(tokens, pos=0, seq_id=seq_id))
                chosen[seq_id] = sampler.sample(ctx)
            for step in range(STEPS):
                pos = len(tokens) + step
                ctx.decode(LlamaBatch(chosen, pos=[pos] * n, seq_id=range(n), logits=True))
                for seq_id in range(n):
                    chosen[seq_id] = sampler.sample(ctx, seq_id)
                    decoders[seq_id].feed(chosen[seq_id])
                found += chosen
            return (now() - begun) / (STEPS * n), found

        return work

    def many(self) -> Work:
        """As `parallel`, by Llama.generate_many."""
        n = self.units
        llm = Llama(
            self.model, n_ctx=N_CTX, n_threads=self.threads, n_threads_batch=self.threads,
            n_seq_max=n,
        )  # fmt: skip

        def work() -> tuple[float, Iterable[int]]:
            begun = now()
            generations = llm.generate_many(
                [self.text] * n, max_tokens=STEPS + 1, temperature=0, cache_prompt=False
            )
            for _ in generations:
                pass
            seconds = now() - begun
            of_each = [generations.generations[i].tokens[1:] for i in range(n)]
            return seconds / (STEPS * n), [t for step in zip(*of_each, strict=True) for t in step]

        return work

    def embed(self) -> Work:
        llm = Llama(
            self.model, n_threads=self.threads, n_threads_batch=self.threads, embeddings=True,
            pooling_type=_raw.LLAMA_POOLING_TYPE_MEAN, n_ctx=N_CTX, n_batch=512, n_seq_max=64,
            kv_unified=True,
        )  # fmt: skip
        texts = self.text.splitlines()[: self.units]

        def work() -> tuple[float, Iterable[int]]:
            begun = now()
            found = llm.embed(texts)
            seconds = now() - begun
            return seconds / len(texts), [row.index(max(row)) for row in found.tolist()]

        return work

    def load(self) -> Work:
        """The model a second time."""

        def work() -> tuple[float, Iterable[int]]:
            begun = now()
            second = LlamaModel.from_file(self.model.path)
            seconds = now() - begun
            n_tokens = second.vocab.n_tokens
            second.close()
            return seconds, [n_tokens]

        return work

    def tokenize(self) -> Work:
        def work() -> tuple[float, Iterable[int]]:
            begun = now()
            tokens = self.model.tokenize(self.text, add_special=False)
            return now() - begun, [len(tokens)]

        return work

    def detokenize(self) -> Work:
        tokens = self.model.tokenize(self.text, add_special=False)

        def work() -> tuple[float, Iterable[int]]:
            begun = now()
            text = self.model.detokenize(tokens)
            return now() - begun, [len(text.encode())]

        return work

    def pieces(self) -> Work:
        """Token by token, as text that comes in a stream."""
        tokens = self.model.tokenize(self.text, add_special=False)

        def work() -> tuple[float, Iterable[int]]:
            begun = now()
            feed = self.model.decoder(special=True).feed
            text = "".join([feed(token) for token in tokens])
            return now() - begun, [len(text.encode())]

        return work


def main() -> None:
    given = arguments()
    if given.numpy:
        importlib.import_module("numpy")
    ours = Ours(given.model, given.threads, given.units, given.text)
    make = getattr(ours, given.task)
    serve(make(apart=True) if given.apart else make(), given.busy)


if __name__ == "__main__":
    main()
