"""A program of llama.cpp that runs beside Python: started, watched, and ended with it."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from .. import _raw
from ..engine.find import INSTALL, preferred_engine, program
from ..engine.progress import Progress
from ..errors import LlamaClosedError, LlamaEngineError, LlamaServerStartError
from ..native.arguments import c_number, check_type, integer
from ..native.resource import ClosedByWith

# How long a program that was asked to end may take for it, in seconds.
_GRACE = 10.0


class ManagedProcess(ClosedByWith):
    """A process for this program alone.

    It ends with `close`, with ``with``, when the object is forgotten, and when Python ends, however
    it ends.
    """

    _kind: str
    """The program's name."""

    _process: subprocess.Popen[bytes] | None = None
    _stop: weakref.finalize[..., Any] | None = None

    def _set_up(
        self,
        program: str | os.PathLike[str] | None,
        host: str,
        port: int,
        log: str | os.PathLike[str] | None,
        timeout: float,
    ) -> None:
        check_type(host, str)
        port = integer(port, "port")
        if not 0 <= port < 1 << 16:
            raise ValueError(f"port={port} is not 0 to 65535")
        timeout = c_number(ctypes.c_double, timeout, "timeout")
        self._program = Path(program) if program is not None else find_program(self._kind)
        self._host = host
        self._port = port
        self._timeout = timeout
        # A folder of our own: nobody else can read the log, or put a file in its place.
        self._folder = tempfile.TemporaryDirectory(prefix=f"{self._kind}-")
        self._log = Path(self._folder.name, "log.txt") if log is None else Path(log)

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

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of its log."""
        return "\n".join(self._log.read_text("utf-8", "replace").splitlines()[-lines:])

    # -- life

    def restart(self) -> None:
        """Stop it if it runs, and start it again with the same port and options."""
        if self._process is None:
            raise LlamaClosedError("the server is closed")
        self._end()
        self._start_or_close()

    def close(self) -> None:
        """Stop it: it is asked to end, and killed when it has not after ten seconds."""
        self._end()
        self._process = None
        self._folder.cleanup()

    def _start_or_close(self) -> None:
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        """Run it, and wait until it is ready."""
        raise NotImplementedError

    def _launch(
        self,
        arguments: Sequence[str],
        env: Mapping[str, str],
        ready: Callable[[], bool],
    ) -> None:
        """Start the program, and return when it is ``ready``."""
        self._check_folder()
        warden = [sys.executable, "-I", "-S", str(Path(__file__).with_name("warden.py"))]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*warden, str(_GRACE), str(self._program), *arguments],
                stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT,
                env={**os.environ, **self._library_path(), **env},
            )  # fmt: skip
        assert self._process.stdin is not None
        _pipes.add(self._process.stdin)
        self._stop = weakref.finalize(self, _stop, self._process)
        self._wait(self._process, ready)

    def _check_folder(self) -> None:
        """LlamaServerStartError for a current folder with what llama.cpp's programs take for a
        backend and load: they look there, as well as in their own folder."""
        try:
            here = Path.cwd()
            files = list(here.iterdir())
        except OSError:
            return  # it was removed, or cannot be read: not by them either
        if here == self._program.resolve().parent:
            return
        start, end = ("ggml-", ".dll") if sys.platform == "win32" else ("libggml-", ".so")
        found = [p.name for p in files if p.name.startswith(start) and p.suffix == end]
        if found:
            raise LlamaServerStartError(
                f"{self._kind} would load {found[0]} from the current folder, {here}: start from "
                "another one"
            )

    def _library_path(self) -> dict[str, str]:
        """`LD_LIBRARY_PATH` without the current folder, which an empty entry means; and before the
        user's the program's own folder, so that it gets the libraries that it was built with."""
        if sys.platform != "linux":
            return {}
        named = os.environ.get("LD_LIBRARY_PATH", "").replace(";", ":").split(":")
        folders = [folder for folder in named if Path(folder).is_absolute()]
        return {"LD_LIBRARY_PATH": ":".join([str(self._program.resolve().parent), *folders])}

    def _wait(self, process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> None:
        begun = time.monotonic()
        progress = Progress(self._kind)
        try:
            while not ready():
                if process.poll() is not None:
                    raise self._failed(f"ended with code {process.returncode}")
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

    def _failed(self, what: str) -> LlamaServerStartError:
        tail = self.log_tail()
        said = f"{self._kind} {what}"
        return LlamaServerStartError(
            f"{said}. The end of its log:\n{tail}" if tail else said,
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
    """Close the pipe, which ends the program, and wait for that."""
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


def reserve(host: str, port: int) -> int:
    """``port``, or a free one for 0. LlamaServerStartError where it cannot be used: llama.cpp's
    servers share a port with whoever listens there already, and get every other request."""
    with socket.socket() as trial:
        if sys.platform != "win32":  # where this means something else
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            raise LlamaServerStartError(f"port {port} of {host} cannot be used: {error}") from error
        return int(trial.getsockname()[1])


def find_program(kind: str) -> Path:
    """The program that belongs to the library that would be loaded, or the system's."""
    name = f"{kind}.exe" if sys.platform == "win32" else kind
    folders = [preferred_engine(_raw.TAG)]
    named = os.environ.get("LLAMA_CPP_LIB")
    if named:
        folders.insert(0, Path(named) if Path(named).is_dir() else Path(named).parent)
    for folder in folders:
        if folder is not None and (folder / name).is_file():
            return folder / name
    found = program(name)
    if found is None:
        raise LlamaEngineError(f"no {name} was found: run {INSTALL}, or give its path as program=")
    return Path(found)
