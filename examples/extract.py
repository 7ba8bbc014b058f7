"""Reads nested objects out of many texts at once: a line of JSON for each line of stdin.

    python examples/extract.py --url http://localhost:8080 < texts.txt

A text whose answer does not fit the type gives a line with the error.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from dataclasses import asdict, dataclass
from typing import Any, Literal

from llama_cpp import AsyncLlamaAgent
from llama_cpp.errors import LlamaError


@dataclass
class Item:
    """Something that was ordered."""

    name: str
    amount: int


@dataclass
class Order:
    """An order, as a customer wrote it."""

    customer: str
    items: list[Item]
    urgency: Literal["low", "normal", "high"] = "normal"


async def extract(agent: AsyncLlamaAgent, text: str, free: asyncio.Semaphore) -> dict[str, Any]:
    async with free:
        try:
            order = [{"role": "user", "content": f"Read the order:\n{text}"}]
            return asdict((await agent.run(order, output_type=Order)).output)
        except LlamaError as error:
            return {"error": str(error)}


async def main(url: str, texts: list[str], at_once: int) -> None:
    key, free = os.environ.get("LLAMA_API_KEY"), asyncio.Semaphore(at_once)
    async with AsyncLlamaAgent(url, api_key=key, temperature=0, max_tokens=160) as agent:
        for found in await asyncio.gather(*[extract(agent, text, free) for text in texts]):
            print(json.dumps(found, ensure_ascii=False))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", default="http://localhost:8080")
    parser.add_argument("--at-once", type=int, default=8)
    options = parser.parse_args()
    asyncio.run(main(options.url, [line for line in sys.stdin if line.strip()], options.at_once))
