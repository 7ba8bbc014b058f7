"""Run in the environment under test: llama-server answers, refuses bad requests with the right
status, and answers again. Prints a summary.

python _serve.py MODEL

The refusals are C++ exceptions between libraries. If a compiler makes libraries that do not share
exception types, a refusal ends the server.
"""

import http.client
import json
import sys
from typing import Any

from llama_cpp import LlamaServer
from llama_cpp.errors import LlamaError

GOOD = {"prompt": "The three most important things in life are", "n_predict": 8, "temperature": 0}
# They are thrown by the JSON parser, the server, the chat templates, and the grammars.
BAD: dict[str, tuple[str, str | dict[str, Any]]] = {
    "no JSON": ("/completion", "{"),
    "no prompt": ("/completion", {}),
    "no messages": ("/v1/chat/completions", {"messages": [{"role": "user"}]}),
    "a schema that is none": ("/completion", {**GOOD, "json_schema": {"type": "colour"}}),
    "a grammar that is none": ("/completion", {**GOOD, "grammar": "root ::= ("}),
    "too long a prompt": ("/completion", {**GOOD, "prompt": "life " * 2000}),
}


def ask(server: LlamaServer, path: str, body: str | dict[str, Any]) -> tuple[int, Any]:
    """The status and the answer."""
    connection = http.client.HTTPConnection(server.base_url.rpartition("/")[2], timeout=120)
    try:
        text = body if isinstance(body, str) else json.dumps(body)
        headers = {**server.headers, "Content-Type": "application/json"}
        connection.request("POST", path, text, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


try:
    with LlamaServer(sys.argv[1], ctx_size=256, parallel=1, threads=1, timeout=120) as server:
        status, first = ask(server, "/completion", GOOD)
        if status != 200 or not first["content"].strip():
            sys.exit(f"the server did not answer: {status} {first}")
        for name, (path, body) in BAD.items():
            status, refusal = ask(server, path, body)
            if status != 400 or not refusal["error"]["message"]:
                sys.exit(f"{name}: not refused with 400: {status} {refusal}")
        status, again = ask(server, "/completion", GOOD)
        if (status, again.get("content")) != (200, first["content"]):
            sys.exit(f"after the refusals it answers something else: {status} {again}")
except (LlamaError, OSError, http.client.HTTPException) as error:
    sys.exit(f"{type(error).__name__}: {error}")
print(f"2 answers, {len(BAD)} refusals")
