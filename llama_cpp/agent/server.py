"""LlamaServer: a llama-server of one's own, with clients and agents that talk to it."""

from __future__ import annotations

import http.client
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import LlamaClosedError, LlamaServerConnectionError
from ..server.client import LlamaClient
from ..server.http import check_api_key
from ..server.process import ManagedProcess, reserve
from .agent import LlamaAgent

_LISTENING = re.compile(rb"listening on http://\S+:(\d+)\s")
# LlamaServer sets these itself; they cannot be options.
RESERVED = ("model", "host", "port", "api_key", "api_key_file", "models_preset", "log_disable")

Option = str | int | float | bool | os.PathLike[str] | Sequence[str | os.PathLike[str]]


class LlamaServer(ManagedProcess):
    """A llama-server process on a model, for this program alone.

    It listens on a free port of the loopback interface and requires a random key, so no other
    program can use it. The constructor returns when the model is loaded; a long load shows its
    progress on stderr. The process ends with `close`, with ``with``, when the object is collected,
    and when Python ends, even when it is killed.

        with LlamaServer("model.gguf", ctx_size=4096) as server:
            server.agent().run("Hello").text

    ``model`` is a GGUF file, or a mapping of names to files or to options with a ``model`` among
    them: these are loaded when a request names them (router mode). Keywords are llama-server's own
    options without their dashes (``ctx_size=4096`` is ``--ctx-size 4096``; ``llama-server --help``
    lists them): True is the option alone, False its ``--no-`` form, None leaves it out, and a list
    repeats it. ``port`` 0 takes a free port. ``program`` is the path of another llama-server than
    the engine's, ``log`` a file for its output, by default a temporary one.

    Raises FileNotFoundError for a missing model, LlamaEngineError if there is no llama-server, and
    LlamaServerStartError, with the end of its output, if it is not ready within ``timeout``
    seconds.
    """

    _kind = "llama-server"

    def __init__(
        self,
        model: str | os.PathLike[str] | Mapping[str, Any],
        *,
        program: str | os.PathLike[str] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str | None = None,
        log: str | os.PathLike[str] | None = None,
        timeout: float = 600.0,
        **options: Option | None,
    ) -> None:
        for name in options:
            if name in RESERVED:
                raise TypeError(f"LlamaServer: {name!r} cannot be given as an option")
        self._key = check_api_key(api_key) or secrets.token_urlsafe(32)
        if any(c in ',"' for c in self._key):
            raise ValueError("api_key cannot have a comma or a quote: llama-server splits there")
        self._models = _models(model)
        self._options = _arguments(options)
        self._set_up(program, host, port, log, timeout)

    @property
    def base_url(self) -> str:
        """Its address: ``http://127.0.0.1:41234``."""
        return f"http://{self._host}:{self._port}"

    @property
    def api_key(self) -> str:
        """The key that it requires, sent as ``Authorization: Bearer KEY``."""
        return self._key

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a request to it, for any HTTP client."""
        return {"Authorization": f"Bearer {self._key}"}

    def __repr__(self) -> str:
        names = ", ".join(repr(name or Path(m["model"]).name) for name, m in self._models.items())
        state = self.base_url if self.running else "not running"
        return f"<LlamaServer {names}, {state}>"

    def client(self, **options: Any) -> LlamaClient:
        """A client of this server; keywords are those of `LlamaClient`.

        Its errors tell at once if the server has ended. LlamaClosedError after `close`.
        """
        return LlamaClient(self.base_url, **{**self._access(), **options})

    def agent(self, **options: Any) -> LlamaAgent:
        """An agent that talks to this server; keywords are those of `LlamaAgent`.

        Its errors tell at once if the server has ended. LlamaClosedError after `close`.
        """
        return LlamaAgent(self.base_url, **{**self._access(), **options})

    def _access(self) -> dict[str, Any]:
        if self._process is None:
            raise LlamaClosedError("the LlamaServer is closed")
        return {"api_key": self._key, "alive": self._check_alive}

    def _check_alive(self) -> None:
        """Called before a request is sent again."""
        if not self.running:
            raise LlamaServerConnectionError(
                f"llama-server has ended (code {self.returncode}). The end of its log:\n"
                + self.log_tail()
            )

    def _start(self) -> None:
        if self._port:
            reserve(self._host, self._port)
        arguments = [
            *self._model_arguments(),
            *("--host", self._host, "--port", str(self._port)),
            *self._options,
        ]
        # The key is passed in the environment: every user of the machine can read the arguments.
        self._launch(arguments, {"LLAMA_API_KEY": self._key}, self._ready)

    def _model_arguments(self) -> list[str]:
        only = self._models.get("")
        if only is not None:
            return ["--model", only["model"]]
        preset = Path(self._folder, "models.ini")
        lines = []
        for name, options in self._models.items():
            lines += [f"[{name}]", *(f"{key} = {value}" for key, value in options.items()), ""]
        preset.write_text("\n".join(lines), "utf-8")
        return ["--models-preset", str(preset)]

    def _ready(self) -> bool:
        if self._port == 0:
            found = _LISTENING.search(self._log.read_bytes())
            if found is None:
                return False
            self._port = int(found[1])
        connection = http.client.HTTPConnection(self._host, self._port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


def _models(model: str | os.PathLike[str] | Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The server's options for each model by name; a single model has the name ''."""
    if not isinstance(model, Mapping):
        return {"": {"model": _file(model)}}
    if not model:
        raise ValueError("model is an empty mapping: name at least one model")
    models = {}
    for name, given in model.items():
        options = dict(given) if isinstance(given, Mapping) else {"model": given}
        if "model" not in options:
            raise ValueError(f"model {name!r} has no entry 'model' with its file")
        options["model"] = _file(options["model"])
        lines = {str(key).replace("_", "-"): str(value) for key, value in options.items()}
        if not name or any(c in name for c in "[]\n\r") or any("\n" in v for v in lines.values()):
            raise ValueError(f"model {name!r}: {options!r} cannot be written to a preset file")
        models[name] = lines
    return models


def _file(path: str | os.PathLike[str]) -> str:
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"model file {file} does not exist")
    return str(file.resolve())


def _arguments(options: Mapping[str, Option | None]) -> list[str]:
    arguments = []
    for name, value in options.items():
        flag = name.replace("_", "-")
        if value is None:
            continue
        if isinstance(value, bool):
            arguments.append(f"--{flag}" if value else f"--no-{flag}")
            continue
        for one in value if isinstance(value, list | tuple) else [value]:
            arguments += [f"--{flag}", os.fspath(one) if isinstance(one, os.PathLike) else str(one)]
    return arguments
