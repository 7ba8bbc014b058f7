"""A storm of requests from threads and tasks on one Llama: ``python -m checks.storm [-n N]``.

A third is cancelled at some time, and some fail. Every answer that comes is the one that the
request has alone: the KV cache is not rounded, and the model is of a size at which a batch of
another shape changes no token (of a large one it changes ties, in every batching server). At the
end no place is taken, and the memory is level.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from llama_cpp import AsyncLlama, Llama, LlamaCancelled, LlamaSampler
from tests.support import tiny
from tests.support.prompts import Angry

_WORDS = ("the", "cat", "sat", "on a mat", "and was", "once", "in time", "of hello world", "to be")
_AT_ONCE = 24
_PLACES = 6


class Request(NamedTuple):
    """A prompt, and what is to become of it."""

    prompt: str
    n: int
    end: str  # done, cancelled, failed
    after: float  # seconds

    def options(self, llm: Llama) -> dict[str, Any]:
        sampler = LlamaSampler.chain(llm.model.library)
        if self.end == "failed":
            sampler.custom(Angry())
        return {"max_tokens": self.n, "sampler": sampler.greedy()}


def requests(n: int, seed: int) -> list[Request]:
    """``n`` of random lengths; some begin alike."""
    of = random.Random(seed)
    starts = [" ".join(of.choices(_WORDS, k=of.randint(5, 60))) for _ in range(5)]
    found = []
    for i in range(n):
        own = " ".join(of.choices(_WORDS, k=of.randint(1, 80)))
        prompt = f"{of.choice(starts)} {own}" if i % 2 else own
        end = "cancelled" if i % 3 == 1 else "failed" if i % 10 == 0 else "done"
        found.append(Request(prompt, of.randint(4, 60), end, of.random() * 0.2))
    return found


def storm(llm: Llama, wanted: list[Request], alone: dict[Request, str]) -> Counter[str]:
    """Run all of them, half from threads and half from tasks. AssertionError for a wrong text."""
    ends: Counter[str] = Counter()

    def right(request: Request, text: str) -> None:
        assert text == alone[request], f"{request}: {text!r} is not {alone[request]!r}"
        ends["right"] += 1

    def in_thread(request: Request) -> None:
        generation = llm.generate(request.prompt, **request.options(llm))
        timer = threading.Timer(request.after, generation.cancel)
        if request.end == "cancelled":
            timer.start()
        try:
            right(request, "".join(generation))
        except (LlamaCancelled, ZeroDivisionError) as error:
            ends[type(error).__name__] += 1
        timer.cancel()

    async def in_task(tasks: AsyncLlama, request: Request) -> None:
        limit = request.after if request.end == "cancelled" else None
        try:
            work = tasks.complete(request.prompt, **request.options(llm))
            right(request, (await asyncio.wait_for(work, limit)).text)
        except (asyncio.TimeoutError, ZeroDivisionError) as error:
            ends[type(error).__name__] += 1

    async def all_tasks() -> None:
        room = asyncio.Semaphore(_AT_ONCE // 2)
        tasks = AsyncLlama(llm)

        async def one(request: Request) -> None:
            async with room:
                await in_task(tasks, request)

        await asyncio.gather(*(one(request) for request in wanted[1::2]))

    with ThreadPoolExecutor(_AT_ONCE // 2 + 1) as pool:
        loop = pool.submit(asyncio.run, all_tasks())
        list(pool.map(in_thread, wanted[::2]))
        loop.result()
    assert sum(ends.values()) == len(wanted)
    assert llm._scheduler.places.idle, "a place is still taken"
    return ends


def make(model: object) -> Llama:
    """A Llama for the storm: with a KV cache that rounds nothing, and too small for all."""
    exact: dict[str, Any] = {"type_k": 0, "type_v": 0, "flash_attn_type": 0}
    return Llama(model, n_ctx=700, n_seq_max=_PLACES, n_batch=64, n_threads=1, **exact)  # type: ignore[arg-type]


def answers(llm: Llama, wanted: list[Request]) -> dict[Request, str]:
    """What each gives alone."""
    keep = [request for request in wanted if request.end != "failed"]
    return {r: llm.complete(r.prompt, max_tokens=r.n, temperature=0).text for r in keep}


def _memory() -> float:
    """MiB of this process."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description="A storm of requests on one Llama.")
    parser.add_argument("-n", type=int, default=200, help="requests in a round")
    parser.add_argument("--minutes", type=float, default=10.0)
    given = parser.parse_args()
    begun, sizes = time.monotonic(), []
    with tempfile.TemporaryDirectory() as folder, make(tiny.make("llama", Path(folder))) as llm:
        wanted = requests(given.n, 1)
        alone = answers(llm, wanted)
        while not sizes or time.monotonic() - begun < 60 * given.minutes:
            ends = storm(llm, wanted, alone)
            sizes.append(_memory())
            print(
                f"{time.monotonic() - begun:5.0f} s  {dict(ends)}  {sizes[-1]:.0f} MiB", flush=True
            )
    level = sizes[-1] < 1.1 * sizes[len(sizes) // 4]
    print(f"{len(sizes)} storms of {given.n} requests, memory {'level' if level else 'GROWS'}")
    return 0 if level else 1


if __name__ == "__main__":
    sys.exit(main())
