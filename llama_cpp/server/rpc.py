"""LlamaRpcServer: a ggml-rpc-server of one's own, which lends its devices to models."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence

from ..engine.machine import usable_cores
from ..errors import LlamaRpcError
from ..native.arguments import check_count, check_type, integer
from ..native.remote import probe
from .process import ManagedProcess, reserve


class LlamaRpcServer(ManagedProcess):
    """A ggml-rpc-server process on this machine, for this program alone.

    It lends its devices (by default its GPUs, or without any its CPU) to a model:

        with LlamaRpcServer() as one, LlamaRpcServer() as two:
            servers = [one.endpoint, two.endpoint]
            with LlamaModel.from_file("model.gguf", rpc_servers=servers) as model:
                ...

    On other machines, start ``ggml-rpc-server --host ADDRESS --port PORT`` of the same llama.cpp. A
    server serves one program at a time; others wait.

    **The protocol has no password and no encryption: anybody who reaches the port can use the
    machine, and may be able to take it over.** So the default is the loopback interface. ``host``
    may be another IPv4 address of this machine: one of a network that only you can reach, never an
    open one.

    ``port`` 0 takes a free port. ``n_threads`` is for the CPU, by default all usable cores.
    ``devices`` are the names of the devices to lend, see `LlamaDevice.name`. With ``cache`` the
    server keeps large tensors in a folder (``$LLAMA_CACHE/rpc``), so that they are not sent again.
    ``program`` is the path of another ggml-rpc-server than the engine's, ``log`` a file for its
    output, by default a temporary one. The process ends with `close`, with ``with``, when the
    object is collected, and when Python ends. Close the models first: llama.cpp cannot do without a
    server that it uses.

    Raises LlamaEngineError if there is no ggml-rpc-server, and LlamaServerStartError, with the end
    of its output, if it is not ready within ``timeout`` seconds.
    """

    _kind = "ggml-rpc-server"

    def __init__(
        self,
        *,
        n_threads: int | None = None,
        devices: Sequence[str] | None = None,
        cache: bool = False,
        program: str | os.PathLike[str] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        log: str | os.PathLike[str] | None = None,
        timeout: float = 60.0,
    ) -> None:
        try:
            ipaddress.IPv4Address(host)
        except ValueError as error:
            raise ValueError(f"host must be an IPv4 address of this machine: {error}") from None
        n_threads = usable_cores() if n_threads is None else integer(n_threads, "n_threads")
        check_count(n_threads, "n_threads", 1)
        self._options = ["--threads", str(n_threads)]
        if devices is not None:
            if isinstance(devices, str) or not devices:
                raise ValueError(f"devices must be a list of names, not {devices!r}")
            for name in devices:
                check_type(name, str)
            self._options += ["--device", ",".join(devices)]
        if cache:
            self._options.append("--cache")
        self._set_up(program, host, port, log, timeout)

    @property
    def endpoint(self) -> str:
        """Its host and port, for ``LlamaModel.from_file(rpc_servers=...)``: ``127.0.0.1:41234``."""
        return f"{self._host}:{self._port}"

    def __repr__(self) -> str:
        return f"<LlamaRpcServer {self.endpoint if self.running else 'not running'}>"

    def _start(self) -> None:
        # Unlike llama-server it does not accept port 0.
        self._port = reserve(self._host, self._port)
        arguments = ["--host", self._host, "--port", str(self._port), *self._options]
        self._launch(arguments, {}, self._ready)

    def _ready(self) -> bool:
        try:
            probe(self.endpoint)
        except LlamaRpcError:
            return False
        return True
