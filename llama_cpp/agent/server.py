"""LlamaServer: a llama-server of one's own, with clients and agents that talk to it."""

from __future__ import annotations

import http.client
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import LlamaClosedError, LlamaServerConnectionError
from ..native.peers import unknown_keyword
from ..server._options import LEFT_OUT, OPTIONS, PRESETS, ServerOptions
from ..server.client import LlamaClient
from ..server.http import check_api_key
from ..server.process import ManagedProcess, reserve
from ..server.values import Option, words
from .agent import AsyncLlamaAgent, LlamaAgent

if TYPE_CHECKING:
    from typing_extensions import Unpack

_LISTENING = re.compile(rb"listening on http://\S+:(\d+)\s")


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
    options without their dashes, `ServerOptions`: ``ctx_size=4096`` is ``--ctx-size 4096``. For an
    option without a value True is the option and False its ``--no-`` form, or nothing. Options with
    several values take a list; None leaves an option out. ``port`` 0 takes a free port. ``program``
    is the path of another llama-server than the engine's, ``log`` a file for its output, by default
    a temporary one.

    Raises, before a process is started, TypeError for an unknown option, ValueError for a value of
    another type or outside of its limits, FileNotFoundError for a missing model, and
    LlamaEngineError if there is no llama-server. Raises LlamaServerStartError, with the end of its
    output, if it is not ready within ``timeout`` seconds.
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
        **options: Unpack[ServerOptions],
    ) -> None:
        self._key = check_api_key(api_key) or secrets.token_urlsafe(32)
        if any(c in ',"' for c in self._key):
            raise ValueError("api_key cannot have a comma or a quote: llama-server splits there")
        self._models = _models(model)
        self._options = _arguments(options, OPTIONS)
        self._set_up(program, host, port, log, timeout)

    @property
    def base_url(self) -> str:
        """Its address: ``http://127.0.0.1:41234``."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

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

    def async_agent(self, **options: Any) -> AsyncLlamaAgent:
        """An `AsyncLlamaAgent` that talks to this server, as `agent`."""
        return AsyncLlamaAgent(self.base_url, **{**self._access(), **options})

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
        lines = {"model": _file(options.pop("model")), **_lines(options)}
        if not name or any(c in name for c in "[]\n\r") or any("\n" in v for v in lines.values()):
            raise ValueError(f"model {name!r}: {options!r} cannot be written to a preset file")
        models[name] = lines
    return models


def _file(path: str | os.PathLike[str]) -> str:
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"model file {file} does not exist")
    return str(file.resolve())


def _lines(options: Mapping[str, Any]) -> dict[str, str]:
    """The lines of a preset with ``options``."""
    lines: dict[str, str] = {}
    for key, value in options.items():
        name = str(key).replace("-", "_")
        given = _arguments({name: value}, {**OPTIONS, **PRESETS})
        if given:
            lines[given[0].lstrip("-")] = ",".join(given[1::2]) or "true"
    return lines


def _arguments(options: Mapping[str, Any], known: Mapping[str, Option]) -> list[str]:
    """``options`` as the words of a command line."""
    for name in options:
        if name in LEFT_OUT:
            raise TypeError(f"LlamaServer: {name!r} cannot be given as an option: {LEFT_OUT[name]}")
        if name not in known:
            raise unknown_keyword(name, known, "LlamaServer")
    return [word for name in options for word in words(name, options[name], known[name])]
