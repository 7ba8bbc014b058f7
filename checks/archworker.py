"""Uses a model in each way that depends on its kind of memory, and prints the differences from a
prompt that is computed alone.

    python -m checks.archworker MODEL

Each line is "refused WAY: REASON" for a LlamaError, or "wrong WAY: WHAT".
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from llama_cpp import Llama, LlamaBatch, LlamaContext, LlamaModel, LlamaSampler, PromptLookup
from llama_cpp.errors import LlamaError
from tests.support import llamaserver

_EXACT: dict[str, Any] = {"n_threads": 1, "type_k": 0, "type_v": 0}  # F32: nothing is rounded
_OPTIONS: dict[str, Any] = {"max_tokens": 10, "temperature": 0, "ignore_eos": True}
# Of logits: a batch of another shape gives others by so much.
_CLOSE = 0.002


class Ways:
    """The ways to use a model, and the tokens that each prompt gives alone."""

    def __init__(self, path: Path) -> None:
        self.model = LlamaModel.from_file(path)
        self._path = path
        of = random.Random(4)
        names = [of.randrange(3, min(self.model.vocab.n_tokens, 127)) for _ in range(140)]
        self.first, self.second, self.long = names[:24], names[:12] + names[24:40], names[60:130]
        self.alone = self.llama()

    def llama(self, n_seq_max: int = 1, **params: Any) -> Llama:
        return Llama(self.model, **{"n_ctx": 512, **_EXACT, "n_seq_max": n_seq_max, **params})

    def ask(self, llm: Llama, prompt: list[int], **options: Any) -> None:
        self.check(prompt, llm.complete(prompt, **{**_OPTIONS, **options}).tokens)

    def check(self, prompt: list[int], tokens: Sequence[int]) -> None:
        """AssertionError unless ``prompt`` alone gives ``tokens``, or others that are as likely."""
        right = self.alone.complete(prompt, cache_prompt=False, **_OPTIONS).tokens
        assert len(right) == 10
        pairs = zip(right, tokens, strict=False)
        at = next((i for i, (a, b) in enumerate(pairs) if a != b), None)
        if at is None:
            return
        with LlamaContext(self.model, n_ctx=512, **_EXACT) as ctx:
            ctx.decode(LlamaBatch([*prompt, *right[:at]]))
            logits = ctx.logits()
            less = logits[right[at]] - logits[tokens[at]]
        assert abs(less) < _CLOSE, f"{tokens} instead of {right}, at {at} less by {less:.3f}"

    # -- the ways

    def again(self) -> None:
        self.ask(self.alone, self.first, cache_prompt=False)

    def server(self) -> None:
        cache = ("-ctk", "f32", "-ctv", "f32", "-c", 512, "--parallel", 1, "-t", 1, "--no-warmup")
        with (
            tempfile.TemporaryDirectory() as folder,
            llamaserver.running(self.model.library, self._path, Path(folder), *cache) as up,
        ):
            llamaserver.wait(up)
            body = {"prompt": self.first, "n_predict": 10, "temperature": 0, "ignore_eos": True}
            body |= {"return_tokens": True}
            self.check(self.first, llamaserver.ask(up, "completion", body)["tokens"])

    def turns(self) -> None:
        llm = self.llama(3)
        self.ask(llm, self.first)
        answer = self.alone.complete(self.first, cache_prompt=False, **_OPTIONS).tokens
        self.ask(llm, [*self.first, *answer, *self.second[-9:]])
        self.ask(llm, self.second)
        self.ask(llm, self.first)

    def many(self) -> None:
        prompts = [self.first, self.second, self.long, self.first[:5], self.long[:40] + self.first]
        answers = self.llama(3).complete_many(prompts, **_OPTIONS)
        for prompt, done in zip(prompts, answers, strict=True):
            self.check(prompt, done.tokens)

    def state(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            llm = self.llama()
            self.ask(llm, self.first)
            n = llm.save_state(Path(folder) / "state", self.first)
            other = self.llama()
            assert other.load_state(Path(folder) / "state") == n
            self.ask(other, [*self.first, 5])

    def fork(self) -> None:
        with LlamaContext(self.model, n_ctx=512, n_seq_max=3, **_EXACT) as ctx:
            sequence, greedy = ctx.sequence(), LlamaSampler.chain().greedy()
            sequence.extend(self.first)
            fork = sequence.fork()
            fork.truncate(len(self.first) - 1)
            fork.extend(self.first[-1:])
            for one in (fork, sequence):
                one.extend(self.second[-1:])
                self.check([*self.first, self.second[-1]], [one.sample(greedy)])

    def drafts(self) -> None:
        self.ask(self.llama(), self.first * 2, draft=PromptLookup(adapt=False))

    def shift(self) -> None:
        llm = self.llama(n_ctx=64)
        done = llm.complete(self.first, **{**_OPTIONS, "max_tokens": 80}, context_shift=True)
        assert len(done.tokens) == 80

    def full(self) -> None:
        done = self.llama(n_ctx=64).complete(self.first, **{**_OPTIONS, "max_tokens": None})
        assert done.finish_reason == "length"

    def small_cache(self) -> None:
        assert self.llama(type_k=8, type_v=8).complete(self.first, **_OPTIONS).tokens

    def embed(self) -> None:
        vectors = self.alone.embed(["hello world", "hello"])
        assert all(value == value for value in vectors[0])

    def log_probabilities(self) -> None:
        done = self.alone.complete(self.first, logprobs=3, prompt_logprobs=1, **_OPTIONS)
        assert len(done.logprobs) == 10


def main() -> int:
    ways = Ways(Path(sys.argv[1]))
    found: dict[str, Callable[[], None]] = {
        name: getattr(ways, name)
        for name in list(vars(Ways))[list(vars(Ways)).index("again") :]
        if not name.startswith("_")
    }
    for name, way in found.items():
        try:
            way()
        except LlamaError as error:
            print(f"refused {name}: {error}", flush=True)
            if name == "again":
                break
        except Exception as error:
            print(f"wrong {name}: {type(error).__name__}: {error}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
