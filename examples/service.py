"""Serve a model to many users at once, with server-sent events.

python examples/service.py MODEL [--port N] [--places N]      (pip install starlette uvicorn)
curl -N localhost:8000 -d '{"prompt": "Once upon a time", "max_tokens": 20}'

All users share one continuous batch. One who goes away stops what was computed for them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from llama_cpp import AsyncLlama, Llama
from llama_cpp.errors import LlamaError, LlamaQueueFullError


def service(llm: Llama) -> Starlette:
    """The application: POST / with the options of `Llama.generate` and a ``prompt``."""
    tasks = AsyncLlama(llm)

    async def generate(request: Request) -> Response:
        options = {"max_tokens": 100, "timeout": 60.0, **await request.json()}
        stream = tasks.generate(options.pop("prompt"), **options)
        try:
            first = await anext(stream, "")
        except LlamaQueueFullError as error:
            return PlainTextResponse(str(error), status_code=503)
        except (TypeError, ValueError) as error:
            return PlainTextResponse(str(error), status_code=400)

        async def events() -> AsyncIterator[str]:
            async with contextlib.aclosing(stream):
                yield f"data: {json.dumps(first)}\n\n"
                async for piece in stream:
                    yield f"data: {json.dumps(piece)}\n\n"
                yield "data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    return Starlette(routes=[Route("/", generate, methods=["POST"])])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", help="a GGUF file")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--places", type=int, default=8, help="how many are computed at a time")
    given = parser.parse_args()
    with Llama(given.model, n_ctx=4096, n_seq_max=given.places, queue_size=100) as llm:
        uvicorn.run(service(llm), host="127.0.0.1", port=given.port)


if __name__ == "__main__":
    try:
        main()
    except (LlamaError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
