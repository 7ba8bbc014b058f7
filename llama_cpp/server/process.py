"""A server of llama.cpp in a process of its own: started, watched, and ended with Python."""

from __future__ import annotations

import ctypes
import os
import shutil
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
from ..engine.machine import spin
from ..engine.progress import Progress
from ..errors import LlamaClosedError, LlamaEngineError, LlamaServerStartError
from ..native.arguments import c_number, check_type, integer
from ..native.child import frozen_command
from ..native.resource import ClosedByWith

StrPath = str | os.PathLike[str]

# Seconds that a program has to end after it was asked to.
_GRACE = 10.0


class ManagedProcess(ClosedByWith):
    """A server process for this program alone.

    It ends with `close`, with ``with``, when the object is collected, and when Python ends, even
    when it is killed.
    """

    _kind: str
    """The program's name."""

    _process: subprocess.Popen[bytes] | None = None
    _stop: weakref.finalize[..., Any] | None = None

    def _set_up(
        self, program: StrPath | None, host: str, port: int, log: StrPath | None, timeout: float
    ) -> None:
        """Check the arguments, and start the program."""
        check_type(host, str)
        self._host, self._port = host, integer(port, "port")
        if not 0 <= self._port < 1 << 16:
            raise ValueError(f"port={port} is not 0 to 65535")
        self._timeout = c_number(ctypes.c_double, timeout, "timeout")
        self._program = Path(program) if program is not None else find_program(self._kind)
        # A private folder: other users can neither read the log nor replace it.
        self._folder = Path(tempfile.mkdtemp(prefix=f"{self._kind}-"))
        self._remove = weakref.finalize(self, _remove, self._folder, os.getpid())
        self._log = Path(self._folder, "log.txt") if log is None else Path(log)
        self._start_or_close()

    @property
    def host(self) -> str:
        """The address that it listens on."""
        return self._host

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._port

    @property
    def pid(self) -> int | None:
        """The process to signal or to watch, which ends together with the server; None after
        `close`."""
        return None if self._process is None else self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """The exit code of the process, or 128 plus the number of the signal that ended it. None
        while it runs and after `close`."""
        return None if self._process is None else self._process.poll()

    @property
    def log(self) -> Path:
        """The file with its output; a temporary one is deleted by `close`."""
        return self._log

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of its output."""
        return "\n".join(self._log.read_text("utf-8", "replace").splitlines()[-lines:])

    # -- life

    def restart(self) -> None:
        """Stop it if it runs, and start it again on the same port with the same options."""
        if self._process is None:
            raise LlamaClosedError(f"the {type(self).__name__} is closed")
        self._end()
        self._start_or_close()

    def close(self) -> None:
        """Stop it: ask it to end, and kill it if it has not ended after ten seconds."""
        self._end()
        self._process = None
        self._remove()

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
        self, arguments: Sequence[str], env: Mapping[str, str], ready: Callable[[], bool]
    ) -> None:
        """Start the program, and return when it is ``ready``."""
        self._check_folder()
        script = str(Path(__file__).with_name("warden.py"))
        warden = frozen_command(f"{__package__}.warden") or [sys.executable, "-I", "-S", script]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*warden, str(_GRACE), str(self._program), *arguments],
                stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT,
                env={**os.environ, **spin(), **self._library_path(), **env},
            )  # fmt: skip
        assert self._process.stdin is not None
        _pipes.add(self._process.stdin)
        self._stop = weakref.finalize(self, _stop, self._process)
        self._wait(self._process, ready)

    def _check_folder(self) -> None:
        """LlamaServerStartError if the current folder has a file that llama.cpp's programs would
        load as a backend: they look there, as well as in their own folder."""
        try:
            here = Path.cwd()
            files = list(here.iterdir())
        except OSError:
            return  # it was removed, or cannot be read, by them neither
        if here == self._program.resolve().parent:
            return
        start, end = ("ggml-", ".dll") if sys.platform == "win32" else ("libggml-", ".so")
        found = [p.name for p in files if p.name.startswith(start) and p.suffix == end]
        if found:
            raise LlamaServerStartError(
                f"{self._kind} would load {found[0]} from the current folder, {here}; change to "
                "another folder"
            )

    def _library_path(self) -> dict[str, str]:
        """``LD_LIBRARY_PATH`` with the program's own folder first, so that it gets the libraries
        that it was built with, and without the current folder (an empty or relative entry)."""
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
            # While it loads it does not react to the request to end.
            self._end(hurried=True)
            raise
        finally:
            progress.close()

    def _failed(self, reason: str) -> LlamaServerStartError:
        tail = self.log_tail()
        text = f"{self._kind} {reason}" + (f". The end of its log:\n{tail}" if tail else "")
        return LlamaServerStartError(text, log=tail, returncode=self.returncode)

    def _end(self, *, hurried: bool = False) -> None:
        if self._stop is None:
            return
        if hurried and self._process is not None and self._process.stdin is not None:
            with suppress(OSError):  # it has ended by itself
                self._process.stdin.write(b"!")
                self._process.stdin.flush()
        self._stop()


def _remove(folder: Path, pid: int) -> None:
    """Delete the folder, but not at the end of a forked process."""
    if os.getpid() == pid:
        shutil.rmtree(folder, ignore_errors=True)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Close the pipe, which ends the program, and wait for its end."""
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
    """Close the pipes in a forked process: they would keep the parent's servers running."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for pipe in _pipes:
        if not pipe.closed:
            os.dup2(nothing, pipe.fileno(), inheritable=False)
    os.close(nothing)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def reserve(host: str, port: int) -> int:
    """``port``, or a free one for 0. LlamaServerStartError if it is in use: llama.cpp's servers
    would share it with the other program, and each would get some of the requests."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
        if sys.platform != "win32":  # where SO_REUSEADDR allows a port that is in use
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            raise LlamaServerStartError(f"port {port} of {host} cannot be used: {error}") from error
        return int(trial.getsockname()[1])


def find_program(kind: str) -> Path:
    """The program next to the library that would be loaded, or the system's."""
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
        raise LlamaEngineError(f"no {name} was found: run {INSTALL}, or pass its path as program=")
    return Path(found)
