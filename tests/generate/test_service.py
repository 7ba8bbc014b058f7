"""The example of a service: fifty clients at a time, of which some go away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn

from examples.service import service
from llama_cpp import Llama
from tests.support.prompts import EXACT, until

PROMPTS = ["the cat", "a mat", "once in time", "hello world", "to be or not"]


async def post(port: int, body: dict[str, Any], events: int | None = None) -> list[Any]:
    """The data of so many events, or of all; then the client goes away."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    data = json.dumps(body).encode()
    head = f"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(data)}\r\n\r\n"
    writer.write(head.encode() + data)
    found: list[Any] = [int((await reader.readline()).split()[1])]
    while len(found) - 1 != events and (line := await reader.readline()):
        if line.startswith(b"data: ") and b"[DONE]" not in line:
            found.append(json.loads(line[6:]))
    writer.close()
    return found


def test_fifty_clients_of_whom_some_go_away(tiny_path: Callable[..., Path]) -> None:
    with Llama(tiny_path("llama"), n_ctx=2048, n_seq_max=6, n_threads=1, **EXACT) as llm:
        options: dict[str, Any] = {"max_tokens": 20, "temperature": 0}
        alone = [llm.complete(prompt, **options).text for prompt in PROMPTS]

        async def main() -> None:
            config = uvicorn.Config(service(llm), port=0, log_level="error", lifespan="off")
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server.serve())
            while not server.started:
                await asyncio.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]

            async def one(i: int) -> None:
                body = {"prompt": PROMPTS[i % 5], **options}
                if i % 3 == 1:  # goes away in the middle of a long text
                    await post(port, body | {"max_tokens": 1000, "ignore_eos": True}, i % 7 + 1)
                else:
                    status, *pieces = await post(port, body)
                    assert (status, "".join(pieces)) == (200, alone[i % 5])

            await asyncio.gather(*(one(i) for i in range(50)))
            assert (await post(port, {"prompt": "a", "max_token": 3}))[0] == 400
            await asyncio.to_thread(until, lambda: llm._scheduler.places.idle)
            server.should_exit = True
            await serving

        asyncio.run(main())
