"""A server on this machine that plays the hub."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from tests.support.httpserver import Served
from tests.support.python import Result, run_python

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SHARED = """
import json, os, sys
from llama_cpp import Llama, LlamaModel
from llama_cpp.errors import LlamaError
from llama_cpp.model.hub import fetch
def attempt(*arguments, **options):
    try:
        return str(fetch(*arguments, **options))
    except LlamaError as error:
        assert "\\n" not in str(error)
        return f"{type(error).__name__}: {error}"
"""


class Hub:
    """Repositories by name, on a local server."""

    def __init__(self, served: Served, cache: Path) -> None:
        self.served = served
        self.cache = cache

    def add(self, repo: str, files: dict[str, bytes], revision: str = "main") -> None:
        siblings = [{"rfilename": name} for name in files]
        page = json.dumps({"id": repo, "sha": COMMIT, "siblings": siblings}).encode()
        for path in (f"/api/models/{repo}", f"/api/models/{repo}/revision/{revision}"):
            self.served.files[path] = page
            self.served.headers[path] = {"Content-Type": "application/json"}
        for name, content in files.items():
            path = self.path(repo, name, revision)
            self.served.files[path] = content
            self.served.headers[path] = {
                "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
                "X-Repo-Commit": COMMIT,
            }

    @staticmethod
    def path(repo: str, name: str, revision: str = "main") -> str:
        return f"/{repo}/resolve/{revision}/{name}"

    def fail(self, path: str, status: int, code: str = "") -> None:
        self.served.files.pop(path, None)
        self.served.statuses[path] = [status] * 20
        self.served.headers[path] = {"X-Error-Code": code, "X-Error-Message": "of the test"}

    def run(self, code: str, *arguments: object, **env: str) -> Result:
        return run_python(SHARED + code, *arguments, timeout=60, env={**self.env, **env})

    @property
    def env(self) -> dict[str, str]:
        return {
            "HF_ENDPOINT": self.served.url,
            "HF_HOME": str(self.cache),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_IMPLICIT_TOKEN": "",
            "NO_PROXY": "127.0.0.1",
        }
