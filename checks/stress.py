"""Faults that only show after a thousand repetitions: leaks, and races between threads.

    python -m checks.stress leaks [--cycles 1000] [case ...]
    python -m checks.stress threads [--seconds 60] [--cancels 1000]

Each part runs in a process of its own with a time limit, on tiny models, and prints its figures.
0 all is well, 1 something is not.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import gc
import itertools
import json
import math
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from llama_cpp import (
    AsyncLlama,
    Llama,
    LlamaCancelled,
    LlamaContext,
    LlamaControlVector,
    LlamaDecodeError,
    LlamaError,
    LlamaModel,
    LlamaModelError,
    LlamaSampler,
    PromptLookup,
)
from llama_cpp.errors import (
    LlamaAdapterError,
    LlamaBusyError,
    LlamaContextError,
    LlamaOutputError,
    LlamaSamplerError,
    LlamaStateError,
)
from tests.support import tiny
from tests.support.adapters import write_lora
from tests.support.patience import patience
from tests.support.python import ROOT

# AddressSanitizer keeps freed memory, to find later uses: see sanitize.py.
MOST_GROWTH = math.inf if "libasan" in os.environ.get("LD_PRELOAD", "") else 1.0
"""Megabytes that a case may grow by in the last half of its cycles."""
_MOST_HALVES = 6
_ROW = "{:22} {:>7} {:>9} {:>9} {:>8} {:>7} {:>9}  {}"
_PROMPT = "once upon a time the cat sat on the mat"
_THREADS: dict[str, Any] = {"n_threads": 1, "n_threads_batch": 1}
_SECONDS = 1800


def main() -> int:
    parser = argparse.ArgumentParser(description="Look for leaks and for races.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("leaks", help="the same again and again: what stays behind?")
    command.add_argument("--cycles", type=int, default=1000)
    command.add_argument("cases", nargs="*", metavar="case", help=f"of {', '.join(CASES)}")
    command.set_defaults(run=lambda o: 0 if leaks(o.cases or list(CASES), o.cycles) else 1)
    command = commands.add_parser("threads", help="many threads: the same tokens, no crash")
    command.add_argument("--seconds", type=float, default=60)
    command.add_argument("--cancels", type=int, default=1000)
    command.set_defaults(run=lambda o: 0 if threads(o.seconds, o.cancels) else 1)
    command = commands.add_parser("part")  # one of the above, in its process
    command.add_argument("name")
    command.add_argument("folder", type=Path)
    command.add_argument("amount", type=float)
    command.set_defaults(run=_part)
    options = parser.parse_args()
    return int(options.run(options))


def _run(name: str, amount: float) -> tuple[dict[str, Any], str]:
    """Do a part in a process: its results, and the fault of its exit."""
    with tempfile.TemporaryDirectory(prefix="llama-py-") as folder:
        python = [sys.executable, "-W", "always::ResourceWarning"]
        try:
            done = subprocess.run(
                [*python, "-m", "checks.stress", "part", name, folder, str(amount)],
                env={**os.environ, "PYTHONFAULTHANDLER": "1", "GGML_NO_BACKTRACE": "1"},
                cwd=ROOT, capture_output=True, text=True, timeout=patience(_SECONDS), check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return {}, f"hangs: not through after {_SECONDS} s"
    if done.returncode:
        return {}, f"exit {done.returncode}: {done.stderr[-2000:].strip()}"
    if done.stderr:
        return json.loads(done.stdout), f"printed {done.stderr[-2000:].strip()}"
    return json.loads(done.stdout), ""


def _part(options: argparse.Namespace) -> int:
    bench = Bench(options.folder)
    if options.name == "leak":  # for the test of this
        found = _cycles(_leak, bench, int(options.amount))
    elif options.name in CASES:
        found = _cycles(CASES[options.name], bench, int(options.amount))
    else:
        found = _THREADED[options.name](bench, options.amount)
    print(json.dumps(found))
    return 0


class Bench:
    """Models for the cases, made when they are needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def path(self) -> Path:
        return tiny.make("llama", self.folder)

    @cached_property
    def model(self) -> LlamaModel:
        return LlamaModel.from_file(self.path)

    @cached_property
    def embedder(self) -> Path:
        return tiny.make("bert", self.folder)

    @cached_property
    def truncated(self) -> Path:
        target = self.folder / "truncated.gguf"
        target.write_bytes(self.path.read_bytes()[:-1000])
        return target

    @cached_property
    def lora(self) -> Path:
        return write_lora(self.folder / "lora.gguf")

    @cached_property
    def llm(self) -> Llama:
        return Llama(self.model, n_ctx=256, n_seq_max=4, **_THREADS)

    @cached_property
    def state(self) -> bytes:
        with self.context() as ctx:
            ctx.decode([1, 2, 3])
            return ctx.to_bytes([1, 2, 3])

    def context(self, model: LlamaModel | None = None, **params: Any) -> LlamaContext:
        given = {"n_ctx": 256, "n_seq_max": 4, **_THREADS, **params}
        return LlamaContext(model or self.model, **given)

    @contextlib.contextmanager
    def another(self, **params: Any) -> Iterator[Llama]:
        """A `Llama` on the same model, which stays open."""
        llm = Llama(self.model, **{"n_ctx": 256, **_THREADS, **params})
        try:
            yield llm
        finally:
            llm.ctx.close()


@contextlib.contextmanager
def _raises(*kinds: type[BaseException]) -> Iterator[None]:
    try:
        yield
    except kinds:
        return
    raise AssertionError(f"no {kinds[0].__name__}")


# -- leaks: the work of a cycle


def _orders(bench: Bench, i: int) -> None:
    """Close a model and all that can be made from it, in each of the 720 orders."""
    model = LlamaModel.from_file(bench.path)
    ctx = bench.context(model)
    lora = model.load_lora(bench.lora)
    ctx.set_loras([lora])
    sampler = LlamaSampler.chain().penalties(model, 64, 1.1).greedy()
    llm = Llama(model, n_ctx=256, **_THREADS)
    generation = llm.generate(_PROMPT, max_tokens=8, temperature=0)
    next(generation)
    sequence = ctx.sequence()
    sequence.extend(model.tokenize("the cat"))
    sequence.extend([sequence.sample(sampler)])
    every: list[Any] = [generation, llm, sequence, sampler, lora, ctx]
    order = next(itertools.islice(itertools.permutations(every), i * 7 % 720, None))
    model.close()
    for one in order:
        one.close()


def _forgotten(bench: Bench, i: int) -> None:
    """Nothing is closed, and it hangs together in a cycle."""
    model = LlamaModel.from_file(bench.path)
    ctx = bench.context(model)
    ctx.decode([1, 2, 3])
    view = ctx.logits()
    ring: list[Any] = [model, ctx, view, LlamaSampler.chain().greedy(), ctx.sequence()]
    if i % 2:
        ring.reverse()
    ring.append(ring)
    del ctx, model, view, ring
    gc.collect()


def _generate(bench: Bench, i: int) -> None:
    with Llama(bench.path, n_ctx=256, **_THREADS) as llm:
        llm.complete(_PROMPT, max_tokens=8, seed=i, logprobs=2, stop="q")


def _failed_load(bench: Bench, i: int) -> None:
    with _raises(LlamaModelError):
        LlamaModel.from_file(bench.truncated)
    with _raises(LlamaModelError):
        overrides = {"general.architecture": "nothing"}
        LlamaModel.from_file(bench.path, kv_overrides=overrides)


def _stopped_load(bench: Bench, i: int) -> None:
    def fails(_: float) -> None:
        raise ZeroDivisionError

    with _raises(LlamaCancelled):
        LlamaModel.from_file(bench.path, progress=lambda _: False)
    with _raises(ZeroDivisionError):
        LlamaModel.from_file(bench.path, progress=fails)


def _refused_context(bench: Bench, i: int) -> None:
    off = 0  # LLAMA_FLASH_ATTN_TYPE_DISABLED
    with _raises(LlamaContextError):  # by the library
        bench.context(type_v=8, flash_attn_type=off)
    with _raises(ValueError):
        bench.context(n_seq_max=10_000)
    with _raises(LlamaContextError):
        bench.context(n_ctx=2**30)


def _refused_decode(bench: Bench, i: int) -> None:
    with bench.context(n_seq_max=1) as ctx:
        for wrong in ([], [-1], [10**6]):
            with _raises(ValueError):
                ctx.decode(wrong)
        with _raises(LlamaDecodeError):
            ctx.decode([1] * 257)
        ctx.decode([1])


def _cancelled(bench: Bench, i: int) -> None:
    with bench.context(n_ctx=2048, n_batch=2048) as ctx:
        with _cancelling(ctx.cancel), _raises(LlamaCancelled):
            while True:
                ctx.decode([1] * 500)
                ctx.memory.seq_rm()
        ctx.memory.seq_rm()
        ctx.decode([1])


@contextlib.contextmanager
def _cancelling(cancel: Callable[[], None]) -> Iterator[None]:
    """Call ``cancel`` from another thread, until the block is left."""
    done = threading.Event()

    def work() -> None:
        while not done.wait(0.001):
            cancel()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _full_cache(bench: Bench, i: int) -> None:
    with bench.another() as llm:
        done = llm.complete(_PROMPT * 8, temperature=0, logit_bias={"</s>": -100.0})
        assert done.finish_reason == "length", done
        llm.complete(_PROMPT * 8, max_tokens=200, context_shift=True)


def _grammar(bench: Bench, i: int) -> None:
    with _raises(LlamaSamplerError):
        LlamaSampler.chain().grammar(bench.model, "root ::= nowhere")
    with _raises(LlamaSamplerError):
        LlamaSampler.chain().grammar(bench.model, 'root ::= "')
    bench.llm.complete("the", max_tokens=4, grammar='root ::= "cat" [a-z]*')


def _broken_off(bench: Bench, i: int) -> None:
    generation = bench.llm.generate(_PROMPT, max_tokens=20, grammar="root ::= [a-z ]+")
    next(generation)
    if i % 3 == 0:
        generation.close()
    elif i % 3 == 1:
        with bench.another() as llm:
            other = llm.generate(_PROMPT)
            next(other)
        with _raises(LlamaError):
            list(other)


def _sequences(bench: Bench, i: int) -> None:
    with bench.context() as ctx:
        a = ctx.sequence()
        a.extend(bench.model.tokenize(_PROMPT))
        with a.fork() as b:
            b.truncate(4)
            b.extend([5, 6])
            c = ctx.sequence.from_bytes(b.to_bytes())
            c.save(bench.folder / "sequence")
        d = ctx.sequence.load(bench.folder / "sequence")
        assert d.tokens == c.tokens
        with _raises(LlamaContextError):
            for _ in range(9):
                d = d.fork() if i % 2 else ctx.sequence()
                c = [c, d]  # type: ignore[assignment]


def _states(bench: Bench, i: int) -> None:
    damaged = bytearray(bench.state)
    damaged[-40] ^= 1
    with bench.context() as ctx:
        assert ctx.restore(bench.state) == [1, 2, 3]
        with _raises(LlamaStateError):
            ctx.restore(damaged)
        with _raises(LlamaStateError):
            ctx.restore(bench.state[: i % len(bench.state)])
        ctx.save(bench.folder / "state", [1])
        ctx.load(bench.folder / "state")


def _adapters(bench: Bench, i: int) -> None:
    lora = bench.model.load_lora(bench.lora)
    with bench.context() as ctx:
        ctx.set_loras({lora: 0.5})
        width = bench.model.n_embd
        ctx.set_control_vector(LlamaControlVector({1: [0.1] * width}))
        ctx.decode([1, 2])
        if i % 2:
            lora.close()
        with _raises(LlamaAdapterError):
            bench.model.load_lora(bench.path)


class _Mine:
    """A sampler that takes the first token, or fails."""

    selects = True

    def __init__(self, fails: bool) -> None:
        self.fails = fails

    def apply(self, candidates: Any) -> None:
        if self.fails:
            raise ZeroDivisionError
        candidates.selected = 0


def _custom(bench: Bench, i: int) -> None:
    chain = LlamaSampler.chain(bench.model.library).custom(_Mine(fails=False))
    bench.llm.complete("the", max_tokens=3, sampler=chain)
    with _raises(ZeroDivisionError):
        bench.llm.complete(
            "the", sampler=LlamaSampler.chain(bench.model.library).custom(_Mine(fails=True))
        )
    with _raises(LlamaSamplerError):
        LlamaSampler.chain(bench.model.library).top_k(5).sample(bench.llm.ctx)


def _embed(bench: Bench, i: int) -> None:
    with Llama(bench.embedder, **_THREADS) as llm:
        llm.embed(["the cat", "the mat"])
        with _raises(ValueError):
            llm.embed("the cat " * 1000)


def _many(bench: Bench, i: int) -> None:
    llm = bench.llm
    prompts = ["the", "the cat", "the cat sat", "once", "upon a"]
    if i % 2:
        llm.complete_many(prompts, max_tokens=4)
    else:
        many = llm.generate_many(prompts, max_tokens=10)
        next(many)
        many.close()
    with _raises(ValueError):
        llm.complete_many(["the", "the cat " * 300], max_tokens=2)


def _drafts(bench: Bench, i: int) -> None:
    bench.llm.complete(_PROMPT * 2, max_tokens=20, temperature=0, draft=PromptLookup())


def _async(bench: Bench, i: int) -> None:
    async def use() -> None:
        async with AsyncLlama(bench.path, n_ctx=256, **_THREADS) as llm:
            await llm.complete("the", max_tokens=3)
            async for _ in llm.generate("the", max_tokens=30):
                break
            task = asyncio.ensure_future(llm.complete("the", max_tokens=200))
            await asyncio.sleep(0.001)
            task.cancel()
            with _raises(asyncio.CancelledError):
                await task

    asyncio.run(use())


def _save(bench: Bench, i: int) -> None:
    bench.model.save(bench.folder / "saved.gguf")


def _leak(bench: Bench, i: int) -> None:
    """Leaks on purpose, for the tests of these tests: memory, descriptors and threads."""
    resource_ = bench.context().core._resource
    assert resource_ is not None
    resource_.detach()
    os.dup(0)
    if i % 100 == 0:
        threading.Thread(target=threading.Event().wait, daemon=True).start()


CASES: dict[str, Callable[[Bench, int], None]] = {
    "orders": _orders,
    "forgotten": _forgotten,
    "generate": _generate,
    "failed load": _failed_load,
    "stopped load": _stopped_load,
    "refused context": _refused_context,
    "refused decode": _refused_decode,
    "cancelled decode": _cancelled,
    "full cache": _full_cache,
    "grammars": _grammar,
    "broken off": _broken_off,
    "sequences": _sequences,
    "states": _states,
    "adapters": _adapters,
    "custom samplers": _custom,
    "embed": _embed,
    "generate_many": _many,
    "drafts": _drafts,
    "asyncio": _async,
    "save": _save,
}


def _cycles(case: Callable[[Bench, int], None], bench: Bench, cycles: int) -> dict[str, Any]:
    """Do ``case`` that often. The process's memory after the first half, and at the end.

    If it has grown in the second half, another half follows, up to `_MOST_HALVES`: an allocator
    needs some time to level off, and a leak never does.
    """
    half = cycles // 2
    few = max(1, min(50, half // 2))
    libc = ctypes.CDLL(None)
    # Strings that come and go have Python double its table of them at some time, by 2 MB: now.
    for i in range(100_000):
        sys.intern(f"_{i}")
    halves: list[tuple[float, int, int]] = []
    done = 0
    while len(halves) < 2 or (_grew(*halves[-2:]) and len(halves) < _MOST_HALVES):
        used: list[tuple[float, int, int]] = []
        for cycle in range(done, done + half):
            case(bench, cycle)
            if (cycle + 1) % half > half - few or (cycle + 1) % half == 0:
                gc.collect()
                libc.malloc_trim(0)  # memory that is freed but kept for later is not in use
                used.append(_used())
        done += half
        # The minimum of some: memory in use for a moment does not count.
        memory, files, threads_ = (min(column) for column in zip(*used, strict=True))
        halves.append((memory, files, threads_))
    return {"half": halves[-2], "end": halves[-1], "cycles": done}


def _grew(before: Sequence[Any], after: Sequence[Any]) -> bool:
    return after[0] - before[0] >= MOST_GROWTH or tuple(after[1:]) != tuple(before[1:])


def _used() -> tuple[float, int, int]:
    """Megabytes in memory, open descriptors, threads."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    megabytes = pages * resource.getpagesize() / 1e6
    return megabytes, _count("/proc/self/fd"), _count("/proc/self/task")


def _count(folder: str) -> int:
    return sum(1 for _ in Path(folder).iterdir())


def leaks(names: list[str], cycles: int) -> bool:
    """Do the cases, a process each, and print their growth. Whether none grew."""
    print(
        _ROW.format("case", "cycles", "MB half", "MB end", "growth", "fds", "threads", ""),
        flush=True,
    )
    good = True
    for name in names:
        started = time.monotonic()
        found, wrong = _run(name, cycles)
        if found:
            (half, *counts), (end, *ends) = found["half"], found["end"]
            if end - half >= MOST_GROWTH:
                wrong = wrong or "memory grows"
            if ends != counts:
                wrong = wrong or "descriptors or threads grow"
            row = [f"{half:.1f}", f"{end:.1f}", f"{end - half:+.2f}", ends[0], ends[1]]
        else:
            row = ["-"] * 5
        seconds = f"{time.monotonic() - started:.0f} s"
        print(_ROW.format(name, found.get("cycles", cycles), *row, wrong or seconds), flush=True)
        good = good and not wrong
    print(f"{len(names)} cases of {cycles} cycles: {'all level off' if good else 'FAILED'}")
    return good


# -- threads


def _side_by_side(bench: Bench, seconds: float) -> dict[str, Any]:
    """Eight threads with a context each, on one model."""
    prompts = [_PROMPT[: 9 + 5 * i] for i in range(6)]

    def tokens(llm: Llama, i: int) -> list[int]:
        options: dict[str, Any] = {"seed": i} if i % 2 else {"temperature": 0}
        prompt = prompts[i % len(prompts)]
        return llm.complete(prompt, max_tokens=20, cache_prompt=False, **options).tokens

    wanted = [tokens(bench.llm, i) for i in range(24)]
    until = time.monotonic() + seconds
    wrong: list[str] = []
    counts = [0] * 8

    def work(n: int) -> None:
        try:
            while time.monotonic() < until:
                with bench.another(n_seq_max=4) as llm:
                    for i in random.sample(range(len(wanted)), 12):
                        counts[n] += 1
                        got = tokens(llm, i)
                        if got != wanted[i]:
                            wrong.append(f"{got} in place of {wanted[i]}")
        except BaseException as error:
            wrong.append(repr(error))

    _all(work, len(counts))
    return {"done": sum(counts), "wrong": wrong[:5], "each": counts}


def _all(work: Callable[[int], None], n: int) -> None:
    """Run ``work(0)`` to ``work(n - 1)``, each in a thread."""
    threads = [threading.Thread(target=work, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _shared_context(bench: Bench, seconds: float) -> dict[str, Any]:
    """Threads that use one context, each its own sequence of it, as if they were alone."""
    model = bench.model
    starts = [model.tokenize(text) for text in (_PROMPT, "hello world", "to be or not", "a cat")]
    greedy = lambda: LlamaSampler.chain(model.library).greedy()  # noqa: E731
    length = 12

    def alone(start: list[int]) -> list[int]:
        with bench.context() as ctx:
            sequence, sampler = ctx.sequence(), greedy()
            sequence.extend(start)
            for _ in range(length):
                sequence.extend([sequence.sample(sampler)])
            return sequence.tokens

    wanted = [alone(start) for start in starts]
    until = time.monotonic() + seconds
    wrong: list[str] = []
    counts, refused = [0] * len(starts), [0] * len(starts)
    sys.setswitchinterval(1e-5)

    def work(n: int) -> None:
        sampler = LlamaSampler.chain(model.library).greedy()
        sequence, start = sequences[n], starts[n]

        def patient(function: Callable[..., Any], *arguments: Any) -> Any:
            while True:
                try:
                    return function(*arguments)
                except LlamaBusyError:
                    refused[n] += 1

        try:
            while time.monotonic() < until:
                patient(sequence.truncate, 0)
                patient(sequence.extend, start)
                while len(sequence) < len(wanted[n]):
                    try:
                        token = sequence.sample(sampler)
                    except (LlamaBusyError, LlamaOutputError):
                        # Another has decoded since: compute the last token again.
                        refused[n] += 1
                        last = sequence.tokens[-1]
                        patient(sequence.truncate, len(sequence) - 1)
                        patient(sequence.extend, [last])
                        continue
                    patient(sequence.extend, [token])
                counts[n] += 1
                if sequence.tokens != wanted[n]:
                    wrong.append(f"{sequence.tokens} in place of {wanted[n]}")
        except BaseException as error:
            wrong.append(repr(error))

    with bench.context() as ctx:
        sequences = [ctx.sequence() for _ in starts]
        _all(work, len(starts))
    return {"done": sum(counts), "wrong": wrong[:5], "refused": sum(refused)}


def _shared_llama(bench: Bench, seconds: float) -> dict[str, Any]:
    """Threads that generate on one `Llama` at the same time: right, or refused. They share batches,
    whose shapes would change a near tie if the KV cache were rounded."""
    exact: dict[str, Any] = {"type_k": 0, "type_v": 0, "flash_attn_type": 0}  # F32
    shared = Llama(bench.model, n_ctx=256, n_seq_max=4, **exact, **_THREADS)
    prompts = [_PROMPT, _PROMPT + " and was", "hello world", _PROMPT[:20]]

    def tokens(llm: Llama, i: int) -> list[int]:
        return llm.complete(prompts[i], max_tokens=12, temperature=0).tokens

    wanted = [tokens(shared, i) for i in range(len(prompts))]
    until = time.monotonic() + seconds
    wrong: list[str] = []
    counts, refused = [0] * len(prompts), [0] * len(prompts)
    sys.setswitchinterval(1e-5)

    def work(i: int) -> None:
        try:
            while time.monotonic() < until:
                try:
                    got = tokens(shared, i)
                except LlamaContextError as error:
                    if type(error) is not LlamaBusyError and "another generation" not in str(error):
                        raise
                    refused[i] += 1
                    time.sleep(random.random() / 500)
                    continue
                counts[i] += 1
                if got != wanted[i]:
                    wrong.append(f"{got} in place of {wanted[i]}")
        except BaseException as error:
            wrong.append(repr(error))

    _all(work, len(prompts))
    for i, right in enumerate(wanted):
        if tokens(shared, i) != right:
            wrong.append(f"afterwards: {prompts[i]!r} gives other tokens")
    return {"done": sum(counts), "wrong": wrong[:5], "refused": sum(refused)}


def _cancels(bench: Bench, count: float) -> dict[str, Any]:
    """Cancel from another thread at a random moment; then generate."""
    text = "hello world in time " * 40
    wrong: list[str] = []
    stopped = 0
    done = 0
    for params in ({}, {"n_seq_max": 4}):
        with bench.another(n_ctx=512, **params) as llm:
            wanted = llm.complete(_PROMPT, max_tokens=10, temperature=0).tokens
            began = time.perf_counter()
            llm.complete(text, max_tokens=60, temperature=0, cache_prompt=False)
            whole = time.perf_counter() - began
            for i in range(int(count) // 2):
                ended: list[str] = []

                def work(
                    ended: list[str] = ended, cached: bool = i % 3 > 0, many: bool = bool(params)
                ) -> None:
                    options: dict[str, Any] = {"max_tokens": 60, "temperature": 0}
                    try:
                        if many:
                            llm.complete_many([text, text[20:], "the cat"], **options)
                        else:
                            llm.complete(text, cache_prompt=cached, **options)
                    except LlamaCancelled:
                        ended.append("cancelled")
                    except BaseException as error:
                        wrong.append(repr(error))

                thread = threading.Thread(target=work)
                thread.start()
                time.sleep(random.random() * whole)
                llm.cancel()
                while thread.is_alive():  # one that came before it began was for nothing
                    thread.join(0.5)
                    llm.cancel()
                stopped += len(ended)
                done += 1
                got = llm.complete(_PROMPT, max_tokens=10, temperature=0).tokens
                if got != wanted:
                    wrong.append(f"{got} in place of {wanted}")
    return {"done": done, "wrong": wrong[:5], "cancelled": stopped}


_THREADED: dict[str, Callable[[Bench, float], dict[str, Any]]] = {
    "8 contexts": _side_by_side,
    "4 in one context": _shared_context,
    "4 in one Llama": _shared_llama,
    "cancels": _cancels,
}


def threads(seconds: float, cancels: int) -> bool:
    """Do the cases with threads, a process each, and print the figures. Whether all was right."""
    amounts = {
        "8 contexts": seconds,
        "4 in one context": seconds / 3,
        "4 in one Llama": seconds / 3,
        "cancels": cancels,
    }
    good = True
    for name, amount in amounts.items():
        found, ended = _run(name, amount)
        wrong = [*found.pop("wrong", ()), *([ended] if ended else ())]
        facts = ", ".join(f"{key} {value}" for key, value in found.items())
        print(f"{name:18} {facts}; wrong: {len(wrong)}", flush=True)
        for one in wrong:
            print(f"    {one}")
        # A case that did nothing proves nothing.
        good = good and not wrong and found.get("done", 0) > 0
    print("all right" if good else "FAILED")
    return good


if __name__ == "__main__":
    sys.exit(main())
