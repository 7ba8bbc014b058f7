"""HTTP to llama-server: timeouts, retries, errors and streams. Knows no endpoint."""

from __future__ import annotations

import contextlib
import functools
import json
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit
from urllib.request import getproxies

from .._needs import needs
from ..errors import (
    LlamaAuthenticationError,
    LlamaBadRequestError,
    LlamaCancelled,
    LlamaContextOverflowError,
    LlamaNotSupportedError,
    LlamaServerConnectionError,
    LlamaServerError,
    LlamaServerLoadingError,
    LlamaServerTemplateError,
    LlamaServerTimeoutError,
    LlamaServerUnavailableError,
)
from ..native import fork
from ..native.arguments import check_callable, check_count
from ..native.resource import ClosedByWith
from .values import encodable

if TYPE_CHECKING:
    import requests

Pairs = Mapping[str, str] | None

_FIRST_DELAY = 0.25
_LONGEST_DELAY = 4.0
_LONGEST_WAIT = 60.0  # that a server may ask for with Retry-After
_HEADER = re.compile(r"[ -~]+").fullmatch
# The server's messages about a reply or a template that is wrong: the same request would fail
# again. (common/chat.cpp, common/jinja)
_TEMPLATE_WORDS = (
    "does not match the expected",
    "jinja",
    "chat template",
    "unable to generate parser",
    "while executing",
    "failed to parse messages",
    "failed to parse tool call",
    "tool call arguments",
)
# Others took the room of this request: it can succeed later. (server-context.cpp, decode;
# server-models.cpp, load)
_TRANSIENT_WORDS = (
    "context size has been exceeded", "not fit into the kv cache", "model limit reached",
)  # fmt: skip


@dataclass(frozen=True)
class Timeouts:
    """How long to wait for the server, in seconds; None waits for ever."""

    connect: float | None = 10.0
    """For a connection."""
    first_byte: float | None = 600.0
    """For the beginning of an answer: it arrives when a slot is free and, without streaming, when
    the whole answer is ready."""
    idle: float | None = 120.0
    """For the next part of a streamed answer. The server sends a sign of life every 30 seconds."""
    loading: float | None = 600.0
    """For a model that is loading."""


class Stop:
    """Ends requests from another thread, also those that wait for a free slot or a retry."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._waiting: set[socket.socket] = set()

    def set(self) -> None:
        """Stop, from any thread."""
        with self._lock:
            self._event.set()
            for sock in self._waiting:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def check(self) -> None:
        """Raise LlamaCancelled if it was stopped."""
        if self._event.is_set():
            raise LlamaCancelled("the request was cancelled")

    def sleep(self, seconds: float) -> None:
        """Wait, and raise LlamaCancelled as soon as it is stopped."""
        self._event.wait(seconds)
        self.check()

    @contextlib.contextmanager
    def waiting(self, sock: socket.socket) -> Iterator[None]:
        """Let `set` end the wait of this thread for an answer from ``sock``."""
        with self._lock:
            self.check()
            self._waiting.add(sock)
        try:
            yield
        finally:
            with self._lock:
                self._waiting.discard(sock)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Let `set` end the requests that this thread sends meanwhile."""
        before = getattr(_thread, "stop", None)
        _thread.stop = self
        try:
            yield
        finally:
            _thread.stop = before


_thread = threading.local()


class Transport(ClosedByWith):
    """Requests to one server. Threads may share it."""

    def __init__(
        self, base_url: str, *, api_key: str | None, timeouts: Timeouts, retries: int,
        on_wait: Callable[[str, float], None] | None = None,
        alive: Callable[[], None] | None = None, headers: Pairs = None,
    ) -> None:  # fmt: skip
        check_callable(on_wait, "on_wait")
        check_callable(alive, "alive")
        check_count(retries, "retries")
        if not isinstance(timeouts, Timeouts):
            raise TypeError(f"timeouts must be Timeouts, not {timeouts!r}")
        self.base_url, self._key = _base_url(base_url), check_api_key(api_key)
        self.timeouts, self.retries = timeouts, retries
        self._on_wait, self._alive = on_wait, alive
        self._headers = dict(headers or {})
        for name, value in self._headers.items():
            if not isinstance(name, str) or not isinstance(value, str) or not _HEADER(name + value):
                raise ValueError(f"headers: {name!r} and its value must be printable ASCII text")
        self.after_fork()
        fork.renew(self)

    def after_fork(self) -> None:
        """In a child: the connections are the parent's, who would get some of the answers."""
        http = needs("requests", "LlamaClient")
        self._session: requests.Session = http.Session()
        adapter = http.adapters.HTTPAdapter(pool_maxsize=64)
        adapter.poolmanager.pool_classes_by_scheme = _pools()
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        # A proxy of the environment is not the way to a server on this machine. The environment,
        # which takes long to read for each request, may also name certificates.
        url = urlsplit(self.base_url)
        has_proxies, is_https = bool(getproxies()), url.scheme == "https"
        self._session.trust_env = not _is_here(url.hostname or "") if has_proxies else is_https

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def without_patience(self) -> Transport:
        """A transport to the same server that neither waits for it nor retries."""
        timeouts = replace(self.timeouts, first_byte=self.timeouts.connect, loading=0.0)
        return Transport(
            self.base_url, api_key=self._key, timeouts=timeouts, retries=0, headers=self._headers
        )

    def clean(self, text: object) -> str:
        """``text`` without the API key, for errors."""
        text = str(text)
        return text.replace(self._key, "[key]") if self._key else text

    def request(self, method: str, path: str, body: Any = None, *, params: Pairs = None) -> Any:
        """The JSON of an answer, its text if that is not JSON, or None if it is empty."""
        response = self._send(method, path, body, params, {"Accept": "application/json"})
        text = response.content.decode("utf-8", "replace")
        if not text:
            return None
        try:
            return json.loads(text)
        except ValueError:
            if "json" in response.headers.get("Content-Type", ""):
                raise LlamaServerError(
                    f"{self.base_url}{path} answered with invalid JSON: {self.clean(text[:200])!r}",
                    status=response.status_code,
                ) from None
            return text

    def request_object(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """As `request`, for an answer that must be a JSON object."""
        answer = self.request(method, path, body)
        if not isinstance(answer, dict):
            raise LlamaServerError(
                f"{self.base_url}{path} did not answer with a JSON object: "
                f"{self.clean(answer)[:200]!r}. Is it a llama-server?"
            )
        return answer

    def open(
        self, method: str, path: str, body: Any = None, params: Pairs = None, headers: Pairs = None,
        *, endless: bool = False,
    ) -> requests.Response:  # fmt: skip
        """An answer of which only the head has been read. An ``endless`` one may be silent."""
        # Compressed, the parts of an answer would wait for each other.
        sent = {"Accept": "text/event-stream", "Accept-Encoding": "identity", **(headers or {})}
        response = self._send(method, path, body, params, sent, stream=True)
        sock = _socket(response)
        if sock is not None:
            sock.settimeout(None if endless else self.timeouts.idle)
        return response

    # -- sending

    def _send(
        self, method: str, path: str, body: Any, params: Pairs, headers: Pairs, stream: bool = False
    ) -> requests.Response:
        data, kind = _encoded(body)
        stop: Stop = getattr(_thread, "stop", None) or Stop()
        loading_since: float | None = None
        delay = _FIRST_DELAY
        failures = crowded_out = 0
        while True:
            try:
                response = self._once(
                    method, path, data, params, {**self._headers, **(headers or {}), **kind}
                )
                if response.status_code >= 300:
                    error = self._error(response, path)
                else:
                    if not stream:
                        self._read(response, stop)
                    return response
            except LlamaServerConnectionError as failed:
                stop.check()  # a stop breaks the connection, too
                error = failed
            if isinstance(error, LlamaServerLoadingError):
                now, limit = time.monotonic(), self.timeouts.loading
                loading_since = now if loading_since is None else loading_since
                waited = now - loading_since
                if limit is not None and waited + delay > limit:
                    raise error
                if self._on_wait is not None:
                    self._on_wait("loading", waited)
            else:
                failures += 1
                if failures == 1 and _broke(error):
                    continue  # the server had closed an idle connection: use a new one
                crowded_out += _is_crowded_out(error)
                if (error.retry_after or 0.0) > _LONGEST_WAIT:
                    raise error
                if failures > self._allowed(error) or crowded_out > 1:
                    raise error
            if self._alive is not None:
                self._alive()
            stop.sleep(max(delay * random.uniform(0.75, 1.0), error.retry_after or 0.0))
            delay = min(delay * 2, _LONGEST_DELAY)

    def _allowed(self, error: LlamaServerError) -> int:
        """How many times a request is sent again after ``error``."""
        outside = isinstance(error, LlamaServerConnectionError | LlamaServerUnavailableError)
        return self.retries if outside or _is_crowded_out(error) else 0

    def _read(self, response: requests.Response, stop: Stop) -> None:
        """Read the whole body of an answer."""
        import requests

        sock = _socket(response)
        if sock is None:  # nothing is left to be read
            return
        sock.settimeout(self.timeouts.idle)
        try:
            with stop.waiting(sock):
                _ = response.content
        except requests.exceptions.RequestException as error:
            response.close()
            stop.check()
            if "timed out" in str(error):
                raise self.idle() from None
            raise LlamaServerConnectionError(
                f"the connection broke in the middle of an answer: {self.clean(error)}"
            ) from None

    def idle(self) -> LlamaServerTimeoutError:
        """The error for an answer that stops in its middle."""
        limit = self.timeouts.idle
        text = f"the server sent nothing for {limit} s in the middle of an answer"
        return LlamaServerTimeoutError(text, phase="idle", seconds=limit)

    def _once(
        self, method: str, path: str, data: bytes | None, params: Pairs, headers: Pairs
    ) -> requests.Response:
        import requests

        url = self.base_url + path
        limits = self.timeouts
        session = self._session
        try:
            # Session.request would read a netrc file, and takes longer.
            request = requests.Request(
                method, url, {**session.headers, **(headers or {})}, data=data, params=params,
                cookies=session.cookies,
            ).prepare()  # fmt: skip
            if self._key:
                request.headers["Authorization"] = f"Bearer {self._key}"
            given: Any = {"stream": True, "proxies": {}}
            if session.trust_env:
                given = session.merge_environment_settings(request.url or url, {}, True, None, None)
            return session.send(
                request, timeout=(limits.connect, limits.first_byte), allow_redirects=False, **given
            )
        except requests.exceptions.ConnectTimeout:
            text = f"no connection to {self.base_url} within {limits.connect} s"
            phase, limit = "connect", limits.connect
        except requests.exceptions.ReadTimeout:
            text = f"{url} did not answer within {limits.first_byte} s"
            phase, limit = "first_byte", limits.first_byte
        except requests.exceptions.RequestException as error:
            raise LlamaServerConnectionError(
                f"no answer from {self.base_url}: {self.clean(_cause(error))}. Is llama-server "
                "running there?"
            ) from None
        raise LlamaServerTimeoutError(text, phase=phase, seconds=limit)

    def _error(self, response: requests.Response, path: str) -> LlamaServerError:
        import requests

        status = response.status_code
        try:
            text = response.content.decode("utf-8", "replace")
        except requests.exceptions.RequestException:
            text = ""  # the status says enough
        finally:
            response.close()
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            body = None
        if 300 <= status < 400:
            return LlamaServerError(
                f"{self.base_url}{path} redirects to "
                f"{self.clean(response.headers.get('Location'))!r}: give that address as base_url",
                status=status,
            )
        error = error_of(body, status, path, self.clean(text[:500]), self.clean)
        error.retry_after = _seconds(response.headers.get("Retry-After"))
        return error


def _seconds(retry_after: str | None) -> float | None:
    """The header ``Retry-After``, a number of seconds or a date, in seconds from now."""
    try:
        return max(float(retry_after or ""), 0.0)
    except ValueError:
        pass
    with contextlib.suppress(TypeError, ValueError, IndexError):
        return max(parsedate_to_datetime(retry_after or "").timestamp() - time.time(), 0.0)
    return None


class Form(dict[str, Any]):
    """A body that is sent as ``multipart/form-data``; a file is a tuple of its name and bytes."""


def _encoded(body: Any) -> tuple[bytes | None, dict[str, str]]:
    """``body`` as bytes, by default as JSON, and the header for it."""
    if body is None:
        return None, {}
    if isinstance(body, Form):
        import urllib3

        data, kind = urllib3.encode_multipart_formdata(body)
        return data, {"Content-Type": kind}
    try:
        text = json.dumps(body, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        if "Out of range" not in str(error):
            raise
        raise ValueError("the request has NaN or Infinity, which JSON cannot have") from None
    return encodable(text).encode(), {"Content-Type": "application/json"}


def _is_here(host: str) -> bool:
    """Whether ``host`` is this machine: addresses of others cannot be bound."""
    if host.endswith("localhost"):
        return True
    with contextlib.suppress(OSError, UnicodeError):
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host, 0, type=socket.SOCK_DGRAM
        ):
            with contextlib.suppress(OSError), socket.socket(family, kind, protocol) as probe:
                probe.bind(address)
                return True
    return False


def shut_down(response: requests.Response) -> None:
    """End the connection of ``response``, also under a thread that reads from it."""
    sock = _socket(response)
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def _socket(response: requests.Response) -> socket.socket | None:
    """The socket that ``response`` is read from."""
    connection = getattr(response.raw, "connection", None)
    sock = getattr(connection, "sock", None)
    if sock is None:  # an answer that ends with the connection has taken the socket over
        reader = getattr(getattr(response.raw, "_fp", None), "fp", None)
        sock = getattr(getattr(reader, "raw", None), "_sock", None)
    return sock


def _is_crowded_out(error: LlamaServerError) -> bool:
    """Whether other requests took the room of this one: such a request is retried once."""
    return error.status == 500 and any(word in str(error).lower() for word in _TRANSIENT_WORDS)


def _broke(error: LlamaServerError) -> bool:
    """Whether an open connection broke before the answer began."""
    import requests
    import urllib3

    cause = error.__context__
    return (
        isinstance(cause, requests.exceptions.ConnectionError)
        and bool(cause.args)
        and isinstance(cause.args[0], urllib3.exceptions.ProtocolError)
    )


@functools.cache
def _pools() -> dict[str, Any]:
    """Connection pools whose connections a `Stop` can end while they wait for an answer."""
    import urllib3

    class Watched:
        sock: socket.socket | None

        def getresponse(self) -> urllib3.HTTPResponse:
            stop = getattr(_thread, "stop", None)
            with contextlib.ExitStack() as waiting:
                if stop is not None and self.sock is not None:
                    waiting.enter_context(stop.waiting(self.sock))
                return super().getresponse()  # type: ignore[misc, no-any-return]

    class Http(Watched, urllib3.connection.HTTPConnection):  # type: ignore[misc]
        pass

    class Https(Watched, urllib3.connection.HTTPSConnection):  # type: ignore[misc]
        pass

    class HttpPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Http

    class HttpsPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Https

    return {"http": HttpPool, "https": HttpsPool}


def error_of(
    body: Any, status: int | None, path: str, text: str = "", clean: Callable[[object], str] = str
) -> LlamaServerError:
    """The error that the server reports in its JSON ``body``, or in ``text`` without JSON."""
    reported = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(reported, dict):
        reason = reported if isinstance(reported, str) else text or "it gave no reason"
        reported = {"message": reason}
    if status is None or status < 400:
        code = reported.get("code")
        status = code if isinstance(code, int) else None
    message = clean(reported.get("message", text))
    kind = reported["type"] if isinstance(reported.get("type"), str) else None
    lower = message.lower()
    where = f"llama-server, {path}"
    if kind == "exceed_context_size_error" or "n_prompt_tokens" in reported:
        numbers = [reported.get("n_prompt_tokens"), reported.get("n_ctx")]
        needed, room = (n if isinstance(n, int) else 0 for n in numbers)
        return LlamaContextOverflowError(
            f"{where}: the prompt has {needed} tokens and the context only {room}: shorten it, "
            "trim the history, or start the server with a larger --ctx-size",
            n_prompt_tokens=needed, n_ctx=room, status=status, kind="exceed_context_size_error",
        )  # fmt: skip
    full = f"{where}: {message}" + ("" if status is None else f" (status {status})")
    error = LlamaServerError
    if status in (401, 403) and kind != "feature_disabled":
        full += ": give the key that the server was started with as api_key"
        error = LlamaAuthenticationError
    elif status == 503 and "loading" in lower:
        error = LlamaServerLoadingError
    elif status in (429, 502, 503, 504):
        error = LlamaServerUnavailableError
    elif status in (403, 404, 405, 501):
        error = LlamaNotSupportedError
    elif status in (None, 400, 500) and any(word in lower for word in _TEMPLATE_WORDS):
        error = LlamaServerTemplateError
    elif status is not None and 400 <= status < 500:
        error = LlamaBadRequestError
    return error(full, status=status, kind=kind)


def check_api_key(key: str | None) -> str | None:
    """``key``, if it can stand in an HTTP header. The errors do not show it."""
    if key is None:
        return None
    if not isinstance(key, str):
        raise TypeError(f"api_key must be a string, not {type(key).__name__}")
    if key != key.strip() or not all(" " <= c <= "~" for c in key):
        raise ValueError("api_key must be printable ASCII without spaces at its ends")
    return key


def _base_url(url: str) -> str:
    """``url`` without its path's ``/v1``. ValueError if it is not an HTTP address."""
    if not isinstance(url, str):
        raise TypeError(f"base_url must be a string, not {url!r}")
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if "@" in parts.netloc:
        raise ValueError("base_url cannot hold a password: give the key as api_key")
    # urlsplit removes line ends silently.
    is_one = url.isprintable() and " " not in url and parts.scheme in ("http", "https")
    try:
        is_one = is_one and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is not a number, or too large
        is_one = False
    if not is_one:
        raise ValueError(f"base_url must look like 'http://localhost:8080', not {url!r}")
    path = parts.path.rstrip("/").removesuffix("/v1")
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def _cause(error: BaseException) -> str:
    """What the operating system or the server said, without the layers of libraries around it."""
    text = ""
    inner: object = error
    while isinstance(inner, BaseException):
        text = getattr(inner, "strerror", None) or str(inner) or text
        nested = [getattr(inner, "reason", None), *inner.args, inner.__cause__]
        inner = next((one for one in nested if isinstance(one, BaseException)), None)
    return text
