"""Answer several questions from asyncio while something else goes on.

python examples/async_chat.py MODEL [--max-tokens N]
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from llama_cpp import AsyncLlama
from llama_cpp.errors import LlamaError

QUESTIONS = ("Name a colour.", "Name an animal.", "Name a city.")


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", help="a GGUF file")
    parser.add_argument("--max-tokens", type=int, default=16)
    arguments = parser.parse_args()

    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticker = asyncio.create_task(tick())
    async with AsyncLlama(arguments.model, n_ctx=512) as llm:
        stream = llm.generate("Once upon a time", max_tokens=arguments.max_tokens, seed=1)
        async for piece in stream:
            print(piece, end="", flush=True)
        print(f"\n({stream.state.usage.completion_tokens} tokens)")
        answers = await asyncio.gather(
            *(
                llm.chat(
                    [{"role": "user", "content": question}],
                    max_tokens=arguments.max_tokens,
                    temperature=0,
                )
                for question in QUESTIONS
            )
        )
    ticker.cancel()
    for question, answer in zip(QUESTIONS, answers, strict=True):
        print(f"{question} {answer.text}")
    print(f"the event loop went on: {ticks > 5}")


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (LlamaError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
