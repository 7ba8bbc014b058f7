"""A llama-server of one's own: started, watched and stopped from Python."""

from __future__ import annotations

import http.client
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from . import _raw
from ._cache import Progress
from ._installed import engine_dir
from ._resource import ClosedByWith
from .errors import (
    LlamaClosedError,
    LlamaEngineError,
    LlamaServerConnectionError,
    LlamaServerStartError,
)

if TYPE_CHECKING:
    from .agent import LlamaAgent

_NAME = "llama-server.exe" if sys.platform == "win32" else "llama-server"
_LISTENING = re.compile(rb"listening on http://\S+:(\d+)\s")
# How long a server that was asked to end may take for it, in seconds.
_GRACE = 10.0
# Set by this class, so not options.
_OURS = ("model", "host", "port", "api_key", "api_key_file", "models_preset", "log_disable")

Option = str | int | float | bool | os.PathLike[str] | Sequence[str | os.PathLike[str]]


class LlamaServer(ClosedByWith):
    """A llama-server process on a model, for this program alone.

    It listens on the loopback interface, on a free port, and takes a random key: nobody else's
    program can use it. The constructor returns when the model is loaded; a long load shows on
    stderr. The process ends with `close`, with ``with``, when the object is forgotten, and when
    Python ends, however it ends.

    >>> with LlamaServer("model.gguf", ctx_size=4096) as server:
    ...     server.agent().run("Hello").text

    ``model`` is a GGUF file, or several by name, each a file or a mapping of options with a
    ``model`` among them: they are loaded when a request names them (router mode). Keywords are
    llama-server's own options without their dashes (``ctx_size=4096`` is ``--ctx-size 4096``;
    ``llama-server --help`` has them all): True gives the option alone, False its ``--no-`` form,
    None leaves it out, and a list repeats it. ``program`` is another llama-server than the
    engine's, ``log`` a file for what it prints, by default a temporary one.

    Raises FileNotFoundError for a missing model, LlamaEngineError where there is no llama-server,
    and LlamaServerStartError, with the end of its log, when it does not start or is not ready
    within ``timeout`` seconds.
    """

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
        self._process: subprocess.Popen[bytes] | None = None
        self._stop: weakref.finalize[..., Any] | None = None
        for name in options:
            if name in _OURS:
                raise TypeError(f"LlamaServer: {name!r} cannot be given as an option")
        self._program = Path(program) if program is not None else _find()
        self._host = host
        self._port = port
        self._key = api_key or secrets.token_urlsafe(32)
        self._timeout = timeout
        self._models = _models(model)
        self._options = _arguments(options)
        # A folder of our own: nobody else can read the log, or put a file in its place.
        self._folder = tempfile.TemporaryDirectory(prefix="llama-server-")
        self._log = Path(self._folder.name, "log.txt") if log is None else Path(log)
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    # -- what it is

    @property
    def base_url(self) -> str:
        """Its address, as ``http://127.0.0.1:41234``."""
        return f"http://{self._host}:{self._port}"

    @property
    def api_key(self) -> str:
        """The key that it asks for, as ``Authorization: Bearer KEY``."""
        return self._key

    @property
    def headers(self) -> dict[str, str]:
        """What a request to it needs, for any HTTP client."""
        return {"Authorization": f"Bearer {self._key}"}

    @property
    def log(self) -> Path:
        """The file with what it printed; a temporary one goes with `close`."""
        return self._log

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """How the process ended: its exit code, 128 and the signal's number, or None while it
        runs."""
        return None if self._process is None else self._process.poll()

    def __repr__(self) -> str:
        names = ", ".join(repr(name or Path(m["model"]).name) for name, m in self._models.items())
        state = self.base_url if self.running else "not running"
        return f"<LlamaServer {names}, {state}>"

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of its log."""
        return "\n".join(self._log.read_text("utf-8", "replace").splitlines()[-lines:])

    def agent(self, **options: Any) -> LlamaAgent:
        """An agent that talks to this server; keywords are those of `LlamaAgent`."""
        from .agent import LlamaAgent

        if self._process is None:
            raise LlamaClosedError("the server is closed")
        options.setdefault("alive", self._check_alive)
        return LlamaAgent(self.base_url, api_key=self._key, **options)

    def _check_alive(self) -> None:
        """Before a request is tried again."""
        if not self.running:
            raise LlamaServerConnectionError(
                f"llama-server has ended (code {self.returncode}). The end of its log:\n"
                + self.log_tail()
            )

    # -- life

    def restart(self) -> None:
        """Stop it if it runs, and start it again with the same port and key."""
        if self._process is None:
            raise LlamaClosedError("the server is closed")
        self._end()
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop it: it is asked to end, and killed when it has not after ten seconds."""
        self._end()
        self._process = None
        self._folder.cleanup()

    def _start(self) -> None:
        if self._port:
            _check_port(self._host, self._port)
        command = [
            str(self._program),
            *self._model_arguments(),
            *("--host", self._host, "--port", str(self._port)),
            *self._options,
        ]
        warden = [sys.executable, "-I", "-S", str(Path(__file__).with_name("_warden.py"))]
        with self._log.open("wb") as log:
            # The key goes by the environment: every user of the machine can read the arguments.
            self._process = subprocess.Popen(
                [*warden, str(_GRACE), *command],
                stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT,
                env={**os.environ, "LLAMA_API_KEY": self._key},
            )  # fmt: skip
        assert self._process.stdin is not None
        _pipes.add(self._process.stdin)
        self._stop = weakref.finalize(self, _stop, self._process)
        self._wait()

    def _model_arguments(self) -> list[str]:
        only = self._models.get("")
        if only is not None:
            return ["--model", only["model"]]
        preset = Path(self._folder.name, "models.ini")
        lines = []
        for name, options in self._models.items():
            lines += [f"[{name}]", *(f"{key} = {value}" for key, value in options.items()), ""]
        preset.write_text("\n".join(lines), "utf-8")
        return ["--models-preset", str(preset)]

    def _wait(self) -> None:
        """Until it answers."""
        assert self._process is not None
        begun = time.monotonic()
        progress = Progress("llama-server")
        try:
            while not self._ready():
                if self._process.poll() is not None:
                    raise self._failed(f"ended with code {self._process.returncode}")
                seconds = time.monotonic() - begun
                if seconds > self._timeout:
                    raise self._failed(f"was not ready after {self._timeout:g} seconds")
                progress.show(f"loading for {seconds:.0f} s")
                time.sleep(min(0.05, 0.005 + seconds / 20))
        except BaseException:
            # It does not listen to reason while it loads.
            self._end(hurried=True)
            raise
        finally:
            progress.close()

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

    def _failed(self, what: str) -> LlamaServerStartError:
        tail = self.log_tail()
        return LlamaServerStartError(
            f"llama-server {what}. The end of its log:\n{tail}" if tail else f"llama-server {what}",
            log=tail,
            returncode=self.returncode,
        )

    def _end(self, *, hurried: bool = False) -> None:
        if self._stop is None:
            return
        if hurried and self._process is not None and self._process.stdin is not None:
            with suppress(OSError):  # it has ended by itself
                self._process.stdin.write(b"!")
                self._process.stdin.flush()
        self._stop()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Close the pipe, which ends the server, and wait for that."""
    assert process.stdin is not None
    with suppress(OSError):  # nobody reads it any more
        process.stdin.close()
    try:
        process.wait(_GRACE + 10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


_pipes: weakref.WeakSet[IO[bytes]] = weakref.WeakSet()


def _after_fork() -> None:
    """The copy of a process must not keep the pipes of its parent open."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for pipe in _pipes:
        if not pipe.closed:
            os.dup2(nothing, pipe.fileno(), inheritable=False)
    os.close(nothing)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _check_port(host: str, port: int) -> None:
    """llama-server shares a port with whoever listens there already, and gets every other
    request."""
    with socket.socket() as trial:
        if sys.platform != "win32":  # where this means something else
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            raise LlamaServerStartError(f"port {port} of {host} cannot be used: {error}") from error


def _find() -> Path:
    """The llama-server that belongs to the library that would be loaded, or the system's."""
    folders = [Path(__file__).parent / "lib", engine_dir(_raw.TAG)]
    named = os.environ.get("LLAMA_CPP_LIB")
    if named:
        folders.insert(0, Path(named) if Path(named).is_dir() else Path(named).parent)
    for folder in folders:
        if folder is not None and (folder / _NAME).is_file():
            return folder / _NAME
    found = shutil.which(_NAME)
    if found is None:
        raise LlamaEngineError(
            f"no {_NAME} was found: run `make engine` (or `python -m llama_cpp.engine install`), "
            "or give its path as program="
        )
    return Path(found)


def _models(model: str | os.PathLike[str] | Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Name -> options of the server for that model; a single one has no name."""
    if not isinstance(model, Mapping):
        return {"": {"model": _file(model)}}
    if not model:
        raise ValueError("there are no models")
    models = {}
    for name, given in model.items():
        options = dict(given) if isinstance(given, Mapping) else {"model": given}
        if "model" not in options:
            raise ValueError(f"model {name!r} has no entry 'model', which is its file")
        options["model"] = _file(options["model"])
        lines = {str(key).replace("_", "-"): str(value) for key, value in options.items()}
        if not name or any(c in name for c in "[]\n\r") or any("\n" in v for v in lines.values()):
            raise ValueError(f"a model cannot be called {name!r} with {options!r}")
        models[name] = lines
    return models


def _file(path: str | os.PathLike[str]) -> str:
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"there is no model {file}")
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
        values = value if isinstance(value, list | tuple) else [value]
        for one in values:
            arguments += [f"--{flag}", os.fspath(one) if isinstance(one, os.PathLike) else str(one)]
    return arguments
