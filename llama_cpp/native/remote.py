"""Models over ggml-rpc-servers: remote devices, and the handling of a lost server.

llama.cpp ends the process when a server cannot be reached, speaks another version, or is gone in
the middle of something. So `probe` checks a server before llama.cpp connects to it, and calls that
use one go through `guarded`, which turns the end of the process into LlamaRpcError. Stuck calls
stay stuck: after that, nothing over RPC can be used in this process, and none of it is freed.

llama.cpp keeps a server's devices as long as the process lives, once for each address. They are not
put into its list of devices: every model would be loaded there, also those without `rpc_servers`.
"""

from __future__ import annotations

import ctypes
import os
import re
import struct
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast
from weakref import WeakKeyDictionary, WeakSet

from .. import _raw
from .. import _std as std
from ..errors import LlamaError, LlamaModelError, LlamaRpcError
from . import fork, log
from .calls import Guard, guarded, guarding
from .interrupt import held
from .library import LlamaLibrary
from .resource import Closable, Resource

if TYPE_CHECKING:
    import socket
    from pathlib import Path

T = TypeVar("T")

# From ggml-rpc.cpp: everything else in the protocol may change.
_HELLO, _DEVICE_COUNT = 14, 15
_HELLO_REQUEST = struct.Struct("<24x")  # the client's transports besides TCP: none
_HELLO_RESPONSE = struct.Struct("<3B25x")
_COUNT = struct.Struct("<I")

_GIVE_UP_AFTER = 2
"""How long a call may go on after a second Ctrl-C, in seconds."""
# A machine that does not answer probes for half a minute is gone. These, in seconds, are for a
# connection that is only waited on. macOS calls the first TCP_KEEPALIVE.
_KEEP_ALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPALIVE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4}
_GONE_AFTER = 30_000  # milliseconds
# From Linux' struct tcp_info: the number of retransmissions and probes without an answer, and the
# milliseconds since the last answer.
_TCP_INFO = struct.Struct("=2xBB52xI")
_UNANSWERED = 7  # takes 25 seconds at least, as the waits double. It may have been idle before.

_add_server = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_char_p)

# What sends something to the servers of a model, or may.
_TALKING = (
    "llama_(decode|encode|free|synchronize|memory_clear|model_free|adapter_lora_(init|free)"
    "|set_adapter_cvec|state_(seq_)?[gs]et_data|state_seq_[gs]et_data_ext)"
)

# Protects the variables below: held for moments, never during a call of the library.
_lock = threading.RLock()
# A device remembers the last graph that it sent, of whichever context, and lets the server compute
# "the last one" again: two contexts at the same time would get each other's results.
_one_at_a_time = threading.RLock()
fork.renew_lock(globals(), "_lock", threading.RLock)
fork.renew_lock(globals(), "_one_at_a_time", threading.RLock)
# A server drops the graphs of all contexts whenever something is freed, also by a context that
# plans its decodes anew, without notifying the device, which would ask for one of them again; the
# server then closes the connection. So a context keeps its graph only while it alone decodes.
_latest: dict[Path, int | None] = {}  # library -> address of the context that decoded last
_vectors: dict[int | None, tuple[Any, ...]] = {}  # address of a context -> its control vector
_dropped: set[Path] = set()  # libraries for which something may have been freed since
# Seconds that freeing waits for its turn: the thread in turn may itself wait for this one.
_FREE_WAIT = 10.0
_handles: dict[tuple[Path, str], list[_raw.ggml_backend_device]] = {}  # library, endpoint
_endpoints: dict[int, str] = {}  # address of a device -> its server
_users: WeakKeyDictionary[Resource, frozenset[str]] = WeakKeyDictionary()  # models -> servers
_objects: WeakSet[Closable] = WeakSet()  # models, contexts and the like over RPC
_lost: dict[Path, str] = {}  # library -> why RPC cannot be used any more
_servers: set[str] = set()  # the endpoints that llama.cpp has been asked to connect to
# Objects in use when a server was lost. Kept for ever, because threads are stuck in them.
_left: list[object] = []


# -- the servers


def protocol() -> tuple[int, int]:
    """The protocol's major version, and the minor version that a server may have at most."""
    from .. import _raw_rpc  # here: few programs use RPC

    return _raw_rpc.RPC_PROTO_MAJOR_VERSION, _raw_rpc.RPC_PROTO_MINOR_VERSION


def probe(endpoint: str, timeout: float = 5.0) -> tuple[int, int, int]:
    """The protocol version of the server at ``endpoint``.

    Raises LlamaRpcError if it cannot be reached, does not answer, or has a version that this
    package does not support.
    """
    import socket

    host, _, port = endpoint.rpartition(":")

    def failed(why: str) -> LlamaRpcError:
        return LlamaRpcError(f"the RPC server {endpoint} {why}", endpoint=endpoint)

    try:
        connection = socket.create_connection((host, int(port)), timeout)
    except OSError as error:
        raise failed(f"cannot be reached: {error}") from error
    with connection:
        try:
            hello = _ask(connection, _HELLO, _HELLO_REQUEST.pack(), _HELLO_RESPONSE)
            version = cast("tuple[int, int, int]", hello)
            known = protocol()
            if version[0] != known[0] or version[1] > known[1]:
                theirs, ours = ".".join(map(str, version)), ".".join(map(str, known))
                raise failed(
                    f"speaks version {theirs} of the protocol, and {_raw.TAG} speaks {ours}: start "
                    "the ggml-rpc-server of the same llama.cpp there"
                )
            (count,) = _ask(connection, _DEVICE_COUNT, b"", _COUNT)
        except TimeoutError as error:
            # It will answer later, and after a plain close SIGPIPE would then end it. After a
            # reset it only gets an error.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise failed(
                f"did not answer within {timeout:g} s: it serves one program at a time, another "
                "may be using it"
            ) from error
        except (OSError, EOFError, struct.error) as error:  # the last: it is too short
            raise failed(
                "did not answer like a ggml-rpc-server: it is something else, or its llama.cpp is "
                f"too far from {_raw.TAG}"
            ) from error
    if not count:
        raise failed("has no devices")
    return version


def _ask(connection: socket.socket, command: int, request: bytes, form: struct.Struct) -> Any:
    connection.sendall(struct.pack("<BQ", command, len(request)) + request)
    with connection.makefile("rb") as answer:
        (size,) = struct.unpack("<Q", answer.read(8))
        if size != form.size:
            raise EOFError
        return form.unpack(answer.read(size))


def _address(given: str) -> str:
    """``given`` as an IP address and port: llama.cpp would connect twice to a server with two
    names, and wait for itself."""
    if not isinstance(given, str):
        raise TypeError(f"rpc_servers: expected 'host:port', not {given!r}")
    host, _, port = given.rpartition(":")
    if not host or ":" in host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"rpc_servers: expected 'host:port', not {given!r}; no IPv6")
    import socket

    try:
        return f"{socket.gethostbyname(host)}:{int(port)}"
    except (OSError, UnicodeError) as error:
        raise LlamaRpcError(f"the RPC server {given}: {error}", endpoint=given) from error


# -- their devices


def rpc_handles(library: LlamaLibrary, servers: Sequence[str]) -> list[_raw.ggml_backend_device]:
    """The devices of ``servers``, in that order. C: ``ggml_backend_rpc_add_server``, ggml-rpc.h."""
    if isinstance(servers, str) or not isinstance(servers, Sequence):
        raise TypeError(f"rpc_servers must be a list of 'host:port', not {servers!r}")
    endpoints = [_address(server) for server in servers]
    for i, endpoint in enumerate(endpoints):
        if endpoint in endpoints[:i]:
            raise ValueError(f"rpc_servers has {servers[i]!r} twice")
    found = []
    for endpoint in endpoints:
        with _lock:
            handles = _handles.get((library.path, endpoint))
        if handles is None:
            handles = _add(library, endpoint)  # of two threads both get the same
            with _lock:
                _handles[library.path, endpoint] = handles
        found += handles
    return found


def known_handles(library: LlamaLibrary) -> list[_raw.ggml_backend_device]:
    """The devices of the servers of loaded models: other servers may be gone."""
    with _lock:
        used = _used()
        return [
            handle
            for (path, endpoint), some in _handles.items()
            if path == library.path and endpoint in used
            for handle in some
        ]


def _used() -> frozenset[str]:
    with _lock:
        return frozenset[str]().union(*_users.values())


def _add(library: LlamaLibrary, endpoint: str) -> list[_raw.ggml_backend_device]:
    short = library.short
    reg = short.ggml_backend_reg_by_name(b"RPC")
    address = reg and short.ggml_backend_reg_get_proc_address(reg, b"ggml_backend_rpc_add_server")
    if not address:
        raise LlamaRpcError(f"{library.path} was built without RPC (GGML_RPC)", endpoint=endpoint)
    add = _add_server(address)
    added = reach(library, lambda: add(endpoint.encode()), endpoints=[endpoint])
    if not added:
        raise LlamaRpcError(f"the RPC server {endpoint} has no devices", endpoint=endpoint)
    reg = _raw.ggml_backend_reg(added)
    handles = []
    for i in range(short.ggml_backend_reg_dev_count(reg)):
        handle = short.ggml_backend_reg_dev_get(reg, i)
        assert handle is not None
        assert handle.value is not None
        _endpoints[handle.value] = endpoint
        handles.append(handle)
    return handles


def endpoint_of(handle: _raw.ggml_backend_device) -> str | None:
    """The server that a device is on; None for one of this machine."""
    return _endpoints.get(handle.value or 0)


def reach(
    library: LlamaLibrary,
    call: Callable[[], T],
    what: str = "over RPC",
    *,
    endpoints: Iterable[str],
    error: type[LlamaError] = LlamaModelError,
) -> T:
    """Like `guarded`, for calls that let llama.cpp connect to ``endpoints``."""
    with _alone():
        _check(library)
        # A server that is in use answers nobody else.
        used = _used()
        for endpoint in endpoints:
            if endpoint not in used:
                probe(endpoint)
            _servers.add(endpoint)
        return _remote(library, call, what, error=error)


def load(
    library: LlamaLibrary,
    call: Callable[[], T],
    what: str,
    *,
    endpoints: frozenset[str],
    error: type[LlamaError] = LlamaModelError,
) -> T:
    """Like `reach`, for a ``call`` that loads a model: it uses the servers as long as it lives."""
    with _alone():  # the next caller must see the new user
        result = reach(library, call, what, endpoints=endpoints, error=error)
        if isinstance(result, Resource):
            with _lock:
                _users[result] = endpoints
        return result


# -- users of the servers


def note_user(user: Closable, resource: Resource) -> None:
    """Note ``user`` as a user of RPC, if its model ``resource`` is over RPC."""
    with _lock:
        if resource in _users:
            _objects.add(user)


def calls_for(library: LlamaLibrary, resource: Resource) -> LlamaLibrary:
    """``library`` for calls with the model ``resource`` and its contexts: guarded if the model is
    over RPC."""
    return cast("LlamaLibrary", _Guarded(library)) if resource in _users else library


class _Guarded:
    """A library's functions and attributes. Functions that use servers are guarded."""

    def __init__(self, library: LlamaLibrary, calls: Any = None) -> None:
        self._library = library
        self._calls = library if calls is None else calls
        if calls is None:
            self.short = _Guarded(library, library.short)

    def __getattr__(self, name: str) -> Any:
        if re.fullmatch(_TALKING, name):
            # Never one that keeps the GIL: whoever finds a server lost needs it to say so.
            value = partial(_call, self._library, name, getattr(self._library, name))
        else:
            value = getattr(self._calls, name)
        setattr(self, name, value)
        return value


def guard_for(resource: Resource) -> Guard:
    """The guard for calls that use the model ``resource``."""
    return _remote if resource in _users else guarded


def free_for(library: LlamaLibrary, name: str, resource: Resource) -> Callable[[Any], object]:
    """The function ``name``, which frees objects of the model ``resource``."""
    free: Callable[[Any], object] = getattr(library, name)
    return guarded_free(library, name) if resource in _users else free


def guarded_free(library: LlamaLibrary, name: str) -> Callable[[Any], object]:
    """The function ``name``, which frees something over RPC. At the end of the process, and without
    the server, there is nothing to be freed."""
    free = getattr(library, name)

    def quietly(handle: Any) -> None:
        try:
            _call(library, name, free, handle)
        except LlamaError:  # also of a new thread at the end of the process
            return

    return quietly


def _call(library: LlamaLibrary, name: str, function: Any, *arguments: Any) -> Any:
    said: list[str] = []
    computes, frees = name in ("llama_decode", "llama_encode"), name.endswith("_free")

    def work() -> Any:
        with log.heard() as heard:
            try:
                if computes:
                    _renew_graph(library, arguments[0])
                result = function(*arguments)
                if name == "llama_set_adapter_cvec" and result == 0:
                    _vectors[_place(arguments[0])] = arguments
                elif name == "llama_free":
                    _vectors.pop(_place(arguments[0]), None)
                if computes:
                    # Servers still compute after it returns; wait, or a failure would go unnoticed.
                    library.llama_synchronize(arguments[0])
                return result
            finally:
                said.extend(heard)

    try:
        return _remote(library, work, wait=_FREE_WAIT if frees else -1, frees=frees)
    finally:
        log.pass_on(said)


def _place(handle: Any) -> int | None:
    return ctypes.cast(handle, ctypes.c_void_p).value


def _renew_graph(library: LlamaLibrary, handle: Any) -> None:
    """Before a decode: have the context build its graph anew if the servers may have dropped it."""
    address = _place(handle)
    dropped = library.path in _dropped or address != _latest.get(library.path)
    if dropped and library.has("llama_set_adapter_cvec"):
        # The control vector that it has, or none: llama.cpp plans its decodes anew after that.
        library.llama_set_adapter_cvec(*_vectors.get(address, (handle, None, 0, 0, 0, 0)))
    _dropped.discard(library.path)
    _latest[library.path] = address


def _check(library: LlamaLibrary) -> None:
    if why := _lost.get(library.path):
        raise LlamaRpcError(why)


def _remote(
    library: LlamaLibrary,
    call: Callable[[], T],
    what: str = "over RPC",
    *,
    error: type[LlamaError] = LlamaModelError,
    wait: float = -1,
    frees: bool = True,
) -> T:
    """`guarded`, one call at a time. After ``wait`` seconds for the others it goes on beside them.
    ``frees`` says that it may free something on a server."""
    with _alone(wait):
        if frees:
            _dropped.add(library.path)
        _check(library)  # only now: the call that this waited for may have lost a server
        lost = partial(_lose, library)
        return guarded(library, call, what, error=error, lost=lost, slow=_Patience())


class _Patience:
    """Decides once a second, during a call over RPC, whether to give it up.

    llama.cpp waits for a server's answer without a limit. Keep-alive probes notice when the
    server's machine no longer answers: its connections then break, as when the server ends.
    A silent but reachable server may be computing, so only the user can give that up.
    """

    def __init__(self) -> None:
        self._since = 0  # seconds since Ctrl-C came a second time

    def __call__(self, raised: int) -> str | None:
        _keep_alive(frozenset(_servers))
        self._since += held() + raised >= 2
        return "given up by Ctrl-C" if self._since > _GIVE_UP_AFTER else None


def _keep_alive(endpoints: frozenset[str]) -> None:
    """Let this process' connections to ``endpoints`` break when nobody is there any more."""
    import socket

    # Only the system knows them. There is no such folder on Windows, and sockets are no files.
    folder = std.Path("/dev/fd")
    for file in list(folder.iterdir()) if folder.is_dir() else []:
        with suppress(OSError):  # closed meanwhile, or not connected
            if not file.is_socket():
                continue
            with socket.socket(fileno=os.dup(int(file.name))) as connection:
                if ":".join(map(str, connection.getpeername()[:2])) not in endpoints:
                    continue
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                for name, value in _KEEP_ALIVE.items():
                    option = getattr(socket, name, None)  # not each system has each
                    if option is not None:
                        connection.setsockopt(socket.IPPROTO_TCP, option, value)
                if _is_gone(connection):
                    connection.shutdown(socket.SHUT_RDWR)


def _is_gone(connection: socket.socket) -> bool:
    """Whether sent data has been unacknowledged for long.

    The system would say so after a quarter of an hour. TCP_USER_TIMEOUT would hit a server, too,
    that computes for as long and reads nothing meanwhile.
    """
    if sys.platform != "linux":
        return False
    import socket

    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    sent_again, asked, silent = _TCP_INFO.unpack(info)
    return bool(silent > _GONE_AFTER and max(sent_again, asked) >= _UNANSWERED)


@contextmanager
def _alone(wait: float = -1) -> Iterator[None]:
    # A call from within such a call (by a progress callback) must not wait for it.
    taken = not guarding() and _one_at_a_time.acquire(timeout=wait)
    try:
        yield
    finally:
        if taken:
            _one_at_a_time.release()


def _after_fork() -> None:
    """Refuse RPC in a child: it has the parent's connections, and the server cannot tell them
    apart."""
    error = fork.forked("the RPC servers are connected to the parent")
    for path, _ in _handles:
        _lost[path] = str(error)
    for resource in list(_users):
        _left.append(resource.abandon())
    for one in list(_objects):
        one.lose(error)


fork.at_fork(_after_fork)


def _lose(library: LlamaLibrary, reason: str) -> LlamaRpcError:
    """Give up all that is over RPC: any of it may be stuck."""
    with _lock:
        _lost.setdefault(
            library.path,
            f"an RPC server was lost before ({reason}): llama.cpp cannot recover from that, only a "
            "new process can use RPC",
        )
        for resource in list(_users):
            _left.append(resource.abandon())
        for one in list(_objects):
            if one._resource is not None:
                _left.append(one._resource.abandon())
            one.close()
    return LlamaRpcError(
        f"an RPC server was lost ({reason}). Everything that used RPC in this process is closed: "
        "llama.cpp cannot recover, so start a new process to use RPC. Models on this machine alone "
        "still work"
    )
