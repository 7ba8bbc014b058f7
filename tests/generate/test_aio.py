"""Llama in asyncio: the event loop goes on, cancelling stops the computation, calls queue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from llama_cpp import AsyncLlama, Completion, Llama, LlamaCancelled, LlamaModel, LlamaModelError
from llama_cpp.errors import LlamaClosedError, LlamaContextError
from llama_cpp.generate.batching import scheduler
from tests.support.prompts import decodes
from tests.support.python import run_example, run_program

PROMPT = "once upon a time the cat sat on"


@pytest.fixture
def tiny(tiny_path: Callable[..., Path]) -> Iterator[Llama]:
    with Llama(tiny_path("llama"), n_ctx=512, n_threads=1, n_seq_max=2) as llm:
        yield llm


def run(main: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(main, 120))


def held(llm: Llama) -> int:
    return llm.ctx.memory.seq_pos_max() + 1


def test_it_gives_what_llama_gives(tiny: Llama) -> None:
    options: dict[str, Any] = {"max_tokens": 12, "temperature": 0, "cache_prompt": False}
    whole = tiny.complete(PROMPT, **options)
    chat = tiny.chat([{"role": "user", "content": "hello"}], **options)
    many = [c.text for c in tiny.complete_many([PROMPT, "the mat"], **options)]
    infill = tiny.infill("the cat", "the mat", **options)

    async def main() -> None:
        llm = AsyncLlama(tiny)
        stream = llm.generate(PROMPT, **options)
        with pytest.raises(LlamaContextError, match="has not begun"):
            _ = stream.state
        pieces = [piece async for piece in stream]
        assert "".join(pieces) == whole.text
        assert (stream.state.tokens, stream.state.finish_reason) == (whole.tokens, "length")
        assert (await llm.complete(PROMPT, **options)).text == whole.text
        message = [{"role": "user", "content": "hello"}]
        assert (await llm.chat(message, **options)).text == chat.text
        streamed = [piece async for piece in llm.chat_stream(message, **options)]
        assert "".join(streamed) == chat.text
        assert (await llm.infill("the cat", "the mat", **options)).text == infill.text
        texts = ["", ""]
        both = llm.generate_many([PROMPT, "the mat"], **options)
        async for index, piece in both:
            texts[index] += piece
        assert texts == many
        assert both.state.generations[1].finish_reason == "length"
        assert [c.text for c in await llm.complete_many([PROMPT, "the mat"], **options)] == many
        assert (await llm.embed(["the cat", "a mat"])).shape == (2, tiny.model.n_embd)
        with pytest.raises(LlamaModelError):
            await llm.rerank("the cat", ["a mat"])
        with pytest.raises(LlamaModelError):
            await llm.classify("the cat")
        with pytest.raises(TypeError, match="maxtokens"):
            await llm.complete(PROMPT, maxtokens=3)  # type: ignore[call-arg]
        with pytest.raises(ValueError, match="the prompt is empty"):
            await anext(llm.generate([]))
        assert AsyncLlama.complete.__doc__ == Llama.complete.__doc__

    run(main())


def test_calls_made_together_share_their_first_batch(
    tiny: Llama, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "_TOGETHER", 60)

    async def main() -> None:
        llm = AsyncLlama(tiny)
        await asyncio.gather(*(llm.complete([5, 6, n], max_tokens=3) for n in (7, 8)))

    for _ in range(3):
        with decodes(monkeypatch) as seen:
            run(main())
        assert len(seen[0]) == 2


def test_the_event_loop_goes_on_during_a_long_prompt(model: LlamaModel) -> None:
    gaps: list[float] = []

    async def tick() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.002)
            gaps.append(time.perf_counter() - last)
            last += gaps[-1]

    async def main() -> float:
        llm = AsyncLlama(model, n_ctx=2048)
        await llm.complete("Hello", max_tokens=1)
        ticker = asyncio.create_task(tick())
        start = time.perf_counter()
        await llm.complete([5] * 1200, max_tokens=2)
        took = time.perf_counter() - start
        ticker.cancel()
        llm.sync.ctx.close()
        return took

    took = run(main())
    assert len(gaps) > 20
    assert max(gaps) < took / 2


def test_cancelling_a_task_stops_the_decode_and_leaves_all_usable(model: LlamaModel) -> None:
    async def main() -> None:
        llm = AsyncLlama(model, n_ctx=4096, n_batch=2048)
        whole = await llm.complete("Once upon a time", max_tokens=4, temperature=0)
        start = time.perf_counter()
        await llm.complete([7] * 1000, max_tokens=1)
        needs = time.perf_counter() - start
        for wait in (0, 0.1):  # before it has begun, and in the middle
            task = asyncio.create_task(llm.complete([5] * 3900, max_tokens=1))
            await asyncio.sleep(wait)
            start = time.perf_counter()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert time.perf_counter() - start < needs
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(llm.complete([5] * 3900), 0.1)
        again = await llm.complete("Once upon a time", max_tokens=4, temperature=0)
        assert again.text == whole.text
        asyncio.get_running_loop().call_later(0.1, llm.cancel)
        with pytest.raises(LlamaCancelled):
            await llm.complete([5] * 3900)
        llm.sync.ctx.close()

    run(main())


def test_leaving_a_stream_gives_its_turn_to_the_next(tiny: Llama) -> None:
    async def main() -> None:
        llm = AsyncLlama(tiny)
        whole = await llm.complete(PROMPT, max_tokens=5, temperature=0)
        async for _ in llm.generate(PROMPT, max_tokens=400, temperature=0):
            break
        assert (await llm.complete(PROMPT, max_tokens=5, temperature=0)).text == whole.text
        stream = llm.generate(PROMPT, max_tokens=400, temperature=0)
        await anext(stream)
        assert (await llm.complete(PROMPT, max_tokens=5, temperature=0)).text == whole.text
        while tiny.ctx.core.running or len(stream.state.tokens) < 64:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert len(stream.state.tokens) < 80, "it waits for its reader"
        third, fourth = (asyncio.create_task(llm.complete(PROMPT, max_tokens=5)) for _ in "ab")
        await asyncio.gather(third, fourth)  # one of them in the place of the stream
        await anext(stream)
        await stream.aclose()
        assert stream.state.finish_reason == "cancelled"
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    run(main())


def test_calls_queue_in_their_order(tiny: Llama) -> None:
    async def main() -> None:
        llm = AsyncLlama(tiny)
        begun = [0.0] * 7

        async def one(i: int) -> str:
            stream = llm.generate(PROMPT, max_tokens=4, temperature=0)
            text = "".join([piece async for piece in stream])
            begun[i] = stream.state._request.started
            return text

        texts = await asyncio.gather(*(one(i) for i in range(6)))
        assert begun[:6] == sorted(begun[:6])
        assert len(set(texts)) == 1
        # A call that is cancelled while it waits leaves the others alone.
        stream = llm.generate(PROMPT, max_tokens=4, temperature=0)
        text = await anext(stream)
        waiting = asyncio.create_task(one(6))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert text + "".join([piece async for piece in stream]) == texts[0]

    run(main())


def _three(llm: AsyncLlama) -> list[str]:
    """Three calls at a time, in a loop of their own."""

    async def main() -> list[str]:
        calls = [llm.complete(PROMPT, max_tokens=4, temperature=0) for _ in range(3)]
        return [done.text for done in await asyncio.gather(*calls)]

    texts: list[str] = run(main())
    return texts


def test_calls_queue_in_every_event_loop(tiny: Llama) -> None:
    """One after the other, in several threads, and after one that ended in the middle."""
    llm = AsyncLlama(tiny)
    right = _three(llm)
    assert _three(llm) == right
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(_three, [llm] * 4)) == [right] * 4
    loop = asyncio.new_event_loop()
    stream = llm.generate(PROMPT)
    loop.run_until_complete(anext(stream))
    waits = loop.create_task(llm.complete(PROMPT))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()  # with a stream that has its turn, and a call that waits for one
    assert _three(llm) == right
    assert not waits.done()
    waits._log_destroy_pending = False  # type: ignore[attr-defined]


def test_a_waiting_call_that_is_cancelled_gives_its_turn_away(tiny: Llama) -> None:
    async def main() -> None:
        llm = AsyncLlama(tiny)
        for wait in (0.0, 0.001, 0.02):
            tasks = [asyncio.create_task(llm.complete(PROMPT, max_tokens=4)) for _ in range(6)]
            await asyncio.sleep(wait)
            for task in tasks[1::2]:
                task.cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(one, Completion) for one in done[::2])

    run(main())


def test_async_with_loads_and_closes(tiny_path: Callable[..., Path]) -> None:
    path = tiny_path("llama")

    async def main() -> None:
        seen: list[float] = []
        async with AsyncLlama(path, n_ctx=64, n_threads=1, progress=seen.append) as llm:
            llama = llm.sync
            assert seen[-1] == 1.0
            await llm.complete(PROMPT, max_tokens=2)
            open_stream = llm.generate(PROMPT)
            await anext(open_stream)
        assert (llm.closed, llama.ctx.closed, llama.model.closed) == (True, True, True)
        assert repr(llm) == "<AsyncLlama, closed>"
        await llm.aclose()
        with pytest.raises(LlamaClosedError):
            await llm.complete(PROMPT)
        with pytest.raises(LlamaClosedError):
            _ = [piece async for piece in open_stream]  # some were computed ahead
        lazy = AsyncLlama(path, n_ctx=64)
        with pytest.raises(LlamaContextError, match="not loaded"):
            _ = lazy.sync
        assert (await lazy.complete(PROMPT, max_tokens=2)).text
        await lazy.aclose()
        await AsyncLlama(path).aclose()
        with pytest.raises(FileNotFoundError):
            await AsyncLlama("no such file").complete("a")
        with pytest.raises(TypeError, match="made already"):
            AsyncLlama(llama, n_ctx=3)

    run(main())


def test_ctrl_c_ends_asyncio_run(model_path: Path) -> None:
    assert run_program("ctrl_c_in_asyncio", model_path) == (0, "interrupted\nTrue\n", "")


def test_the_example_runs(model_path: Path) -> None:
    done = run_example("async_chat", model_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("the event loop went on: True\n")
