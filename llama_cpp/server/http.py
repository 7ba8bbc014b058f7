"""HTTP to llama-server: timeouts, retries, errors and streams. Knows no endpoint."""

from __future__ import annotations

import contextlib
import functools
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

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
    LlamaStreamError,
)
from ..native.arguments import check_callable, check_count
from ..native.resource import ClosedByWith
from .sse import Event, EventParser

if TYPE_CHECKING:
    import requests

_FIRST_DELAY = 0.25
_LONGEST_DELAY = 4.0
_PORTION = 65536
# The server's words for what is wrong with a reply or a template: the same request fails the same
# way again. (common/chat.cpp, common/jinja)
_TEMPLATE_WORDS = (
    "does not match the expected",
    "jinja",
    "chat template",
    "unable to generate parser",
    "failed to parse tool call",
    "tool call arguments",
)
# What other requests did to this one: it can succeed later. (server-context.cpp, decode)
_TRANSIENT_WORDS = ("context size has been exceeded", "not fit into the kv cache")


@dataclass(frozen=True)
class Timeouts:
    """How long to wait for the server, in seconds; None waits for ever."""

    connect: float | None = 10.0
    """For a connection."""
    first_byte: float | None = 600.0
    """For the beginning of an answer: it comes when a slot is free and, where nothing is
    streamed, when all of it is there."""
    idle: float | None = 120.0
    """For the next part of a streamed answer. The server sends a sign of life every 30 seconds."""
    loading: float | None = 600.0
    """For a model that is loading."""


class Stop:
    """Ends requests from outside, also those that wait for a free slot or for another try."""

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
        """LlamaCancelled when it was stopped."""
        if self._event.is_set():
            raise LlamaCancelled("the request was cancelled")

    def sleep(self, seconds: float) -> None:
        """Wait, unless it is stopped."""
        self._event.wait(seconds)
        self.check()

    @contextlib.contextmanager
    def waiting(self, sock: socket.socket) -> Iterator[None]:
        """While ``sock`` is what an answer is awaited from."""
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
        """While the requests of this thread are those that it ends."""
        before = getattr(_thread, "stop", None)
        _thread.stop = self
        try:
            yield
        finally:
            _thread.stop = before


_thread = threading.local()


class Stream(ClosedByWith):
    """The events of one streamed answer. Closing it stops the generation in the server."""

    def __init__(
        self,
        transport: Transport,
        response: requests.Response,
        conversation: str | None,
        attempts: int,
    ) -> None:
        self._transport = transport
        self._response = response
        self._conversation = conversation
        self._resumes = attempts
        self._received = 0
        self._finished = False
        self._closed = False
        self._lock = threading.Lock()

    def events(self) -> Iterator[Event]:
        """The events as they come. It ends when the bytes end: whether they were all is for the
        caller to tell."""
        parser = EventParser()
        try:
            while True:
                try:
                    for portion in self._portions():
                        self._received += len(portion)
                        yield from parser.feed(portion)
                    break
                except LlamaStreamError:
                    if not self._resume():
                        raise
            self._finished = True
            yield from parser.finish()
        finally:
            self.close()

    def done(self) -> None:
        """The last event came: there is nothing left to stop."""
        self._finished = True

    def clean(self, text: str) -> str:
        """``text`` without the API key."""
        return self._transport.clean(text)

    def _portions(self) -> Iterator[bytes]:
        import urllib3

        raw = self._response.raw
        try:
            while portion := raw.read1(_PORTION):
                yield portion
        except urllib3.exceptions.ReadTimeoutError:
            limit = self._transport.timeouts.idle
            raise LlamaServerTimeoutError(
                f"the server sent nothing for {limit} s in the middle of an answer",
                phase="idle",
                seconds=limit,
            ) from None
        except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError) as error:
            # A socket that another thread closes shows as any of these.
            if self._closed:
                raise LlamaCancelled("the answer was cancelled") from None
            raise LlamaStreamError(
                f"the connection broke in the middle of an answer: {self._transport.clean(error)}"
            ) from None
        if self._closed:
            raise LlamaCancelled("the answer was cancelled")

    def _resume(self) -> bool:
        """Take the answer up where it broke off, where the server keeps it."""
        if self._conversation is None or self._closed or self._resumes < 1:
            return False
        self._resumes -= 1
        self._response.close()
        try:
            self._response = self._transport.open(
                "GET",
                "/v1/stream",
                params={"conv_id": self._conversation, "from": str(self._received)},
            )
        except LlamaServerError:
            return False
        return True

    def close(self) -> None:
        """Stop, from any thread: the server gives up what it was generating."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if not self._finished:
            sock = _socket(self._response)
            if sock is not None:  # wakes a thread that is reading; closing alone would not
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError, ValueError, AttributeError):
            self._response.close()
        if not self._finished and self._conversation is not None:
            with (
                contextlib.suppress(LlamaServerError),
                self._transport.without_patience() as transport,
            ):
                transport.request("DELETE", "/v1/stream", params={"conv_id": self._conversation})


class Transport(ClosedByWith):
    """Requests to one server. Threads may share it."""

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None,
        timeouts: Timeouts,
        retries: int,
        on_wait: Callable[[str, float], None] | None = None,
        alive: Callable[[], None] | None = None,
    ) -> None:
        check_callable(on_wait, "on_wait")
        check_callable(alive, "alive")
        check_count(retries, "retries")
        if not isinstance(timeouts, Timeouts):
            raise TypeError(f"timeouts must be Timeouts, not {timeouts!r}")
        self.base_url = _base_url(base_url)
        self.timeouts = timeouts
        self.retries = retries
        self._key = check_api_key(api_key)
        self._on_wait = on_wait
        self._alive = alive
        http = needs("requests", "LlamaClient")
        self._session: requests.Session = http.Session()
        adapter = http.adapters.HTTPAdapter(pool_maxsize=64)
        adapter.poolmanager.pool_classes_by_scheme = _pools()
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        # A proxy of the environment is not the way to a server on this machine.
        host = urlsplit(self.base_url).hostname or ""
        self._session.trust_env = not (
            host == "localhost" or host.startswith("127.") or host == "::1"
        )

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def without_patience(self) -> Transport:
        """The same, that neither waits nor tries again."""
        return Transport(
            self.base_url,
            api_key=self._key,
            timeouts=replace(self.timeouts, first_byte=self.timeouts.connect, loading=0.0),
            retries=0,
        )

    def clean(self, text: object) -> str:
        """``text`` without the API key, for errors."""
        text = str(text)
        return text.replace(self._key, "[key]") if self._key else text

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, str] | None = None,
    ) -> Any:
        """The JSON of an answer; text where it is none; None where it is empty."""
        response = self._send(method, path, body, params=params, stream=False)
        text = response.content.decode("utf-8", "replace")
        if not text:
            return None
        try:
            return json.loads(text)
        except ValueError:
            if "json" in response.headers.get("Content-Type", ""):
                raise LlamaServerError(
                    f"{self.base_url}{path} answered with what is not JSON: "
                    f"{self.clean(text[:200])!r}",
                    status=response.status_code,
                ) from None
            return text

    def request_object(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """As `request`, of an answer that has to be a JSON object."""
        answer = self.request(method, path, body)
        if not isinstance(answer, dict):
            raise LlamaServerError(
                f"{self.base_url}{path} answered with what is no JSON object: "
                f"{self.clean(answer)[:200]!r}. Is it a llama-server?"
            )
        return answer

    def stream(self, path: str, body: Any, *, conversation: str | None = None) -> Stream:
        """Begin a streamed answer. With ``conversation``, an id, it is taken up again when the
        connection breaks."""
        headers = {} if conversation is None else {"X-Conversation-Id": conversation}
        response = self.open("POST", path, body, headers=headers)
        return Stream(self, response, conversation, self.retries)

    def open(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """An answer of which only the head was read."""
        response = self._send(method, path, body, params=params, headers=headers, stream=True)
        sock = _socket(response)
        if sock is not None:
            sock.settimeout(self.timeouts.idle)
        return response

    # -- sending

    def _send(
        self,
        method: str,
        path: str,
        body: Any,
        *,
        params: Mapping[str, str] | None,
        stream: bool,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        data = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        sent = {"Accept": "text/event-stream" if stream else "application/json", **(headers or {})}
        if data is not None:
            sent["Content-Type"] = "application/json"
        stop: Stop = getattr(_thread, "stop", None) or Stop()
        loading_since: float | None = None
        delay = _FIRST_DELAY
        failures = crowded_out = 0
        while True:
            try:
                response = self._once(method, path, data, params, sent)
                if response.status_code >= 300:
                    error = self._error(response, path)
                else:
                    if not stream:
                        self._read(response, stop)
                    return response
            except LlamaServerConnectionError as failed:
                stop.check()  # it may have broken because of that
                error = failed
            if isinstance(error, LlamaServerLoadingError):
                now = time.monotonic()
                loading_since = now if loading_since is None else loading_since
                waited = now - loading_since
                limit = self.timeouts.loading
                if limit is not None and waited + delay > limit:
                    raise error
                if self._on_wait is not None:
                    self._on_wait("loading", waited)
            else:
                failures += 1
                if failures == 1 and _broke(error):
                    continue  # a connection that was kept open too long: a new one will do
                crowded_out += _is_crowded_out(error)
                if failures > self._allowed(error) or crowded_out > 1:
                    raise error
            if self._alive is not None:
                self._alive()
            stop.sleep(delay * random.uniform(0.75, 1.0))
            delay = min(delay * 2, _LONGEST_DELAY)

    def _allowed(self, error: LlamaServerError) -> int:
        """How many times a request is sent again after ``error``."""
        outside = isinstance(error, LlamaServerConnectionError | LlamaServerUnavailableError)
        return self.retries if outside or _is_crowded_out(error) else 0

    def _read(self, response: requests.Response, stop: Stop) -> None:
        """Read all of an answer that has begun."""
        import requests

        sock = _socket(response)
        if sock is None:  # nothing is left to be read
            return
        limit = self.timeouts.idle
        sock.settimeout(limit)
        try:
            with stop.waiting(sock):
                _ = response.content
        except requests.exceptions.RequestException as error:
            response.close()
            stop.check()
            if "timed out" in str(error):
                raise LlamaServerTimeoutError(
                    f"the server sent nothing for {limit} s in the middle of an answer",
                    phase="idle",
                    seconds=limit,
                ) from None
            raise LlamaServerConnectionError(
                f"the connection broke in the middle of an answer: {self.clean(error)}"
            ) from None

    def _once(
        self,
        method: str,
        path: str,
        data: bytes | None,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str],
    ) -> requests.Response:
        import requests

        url = self.base_url + path
        limits = self.timeouts
        try:
            return self._session.request(
                method,
                url,
                params=params,
                data=data,
                headers=headers,
                auth=self._authorize,  # a callable, so that no netrc file is asked
                stream=True,
                timeout=(limits.connect, limits.first_byte),
                allow_redirects=False,
            )
        except requests.exceptions.ConnectTimeout:
            raise LlamaServerTimeoutError(
                f"no connection to {self.base_url} within {limits.connect} s",
                phase="connect",
                seconds=limits.connect,
            ) from None
        except requests.exceptions.ReadTimeout:
            raise LlamaServerTimeoutError(
                f"{url} did not answer within {limits.first_byte} s",
                phase="first_byte",
                seconds=limits.first_byte,
            ) from None
        except requests.exceptions.RequestException as error:
            raise LlamaServerConnectionError(
                f"no answer from {self.base_url}: {self.clean(error)}. Is llama-server running "
                "there?"
            ) from None

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request

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
        except ValueError:
            body = None
        if 300 <= status < 400:
            return LlamaServerError(
                f"{self.base_url}{path} redirects to "
                f"{self.clean(response.headers.get('Location'))!r}: give that address as base_url",
                status=status,
            )
        return error_of(body, status, path, self.clean(text[:500]), self.clean)


def _socket(response: requests.Response) -> socket.socket | None:
    """What ``response`` is read from."""
    connection = getattr(response.raw, "connection", None)
    sock = getattr(connection, "sock", None)
    if sock is None:  # an answer that ends with the connection has taken the socket over
        reader = getattr(getattr(response.raw, "_fp", None), "fp", None)
        sock = getattr(getattr(reader, "raw", None), "_sock", None)
    return sock


def _is_crowded_out(error: LlamaServerError) -> bool:
    """Whether other requests took the room of this one: that is tried once more."""
    return error.status == 500 and any(word in str(error).lower() for word in _TRANSIENT_WORDS)


def _broke(error: LlamaServerError) -> bool:
    """Whether a connection that was there broke before an answer began."""
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
    """Pools of connections that can be ended while they wait for an answer to begin."""
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
    body: Any,
    status: int | None,
    path: str,
    text: str = "",
    clean: Callable[[object], str] = str,
) -> LlamaServerError:
    """The error that the server means with the JSON ``body``, or with ``text`` that is none."""
    said = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(said, dict):
        said = {"message": said if isinstance(said, str) else text or "it gave no reason"}
    if status is None or status < 400:
        code = said.get("code")
        status = code if isinstance(code, int) else None
    message = clean(said.get("message", text))
    kind = said.get("type")
    kind = kind if isinstance(kind, str) else None
    lower = message.lower()
    where = f"llama-server, {path}"
    if kind == "exceed_context_size_error" or "n_prompt_tokens" in said:
        numbers = [said.get("n_prompt_tokens"), said.get("n_ctx")]
        needed, room = (n if isinstance(n, int) else 0 for n in numbers)
        return LlamaContextOverflowError(
            f"{where}: the prompt has {needed} tokens and the context only {room}: shorten it, "
            "trim the history, or start the server with a larger --ctx-size",
            n_prompt_tokens=needed,
            n_ctx=room,
            status=status,
        )
    full = f"{where}: {message}" + ("" if status is None else f" (status {status})")
    if status in (401, 403) and kind != "feature_disabled":
        return LlamaAuthenticationError(
            f"{full}: give the key that the server was started with as api_key",
            status=status,
            kind=kind,
        )
    if status == 503 and "loading" in lower:
        return LlamaServerLoadingError(full, status=status, kind=kind)
    if status in (429, 502, 503, 504):
        return LlamaServerUnavailableError(full, status=status, kind=kind)
    if status in (403, 404, 405, 501):
        return LlamaNotSupportedError(full, status=status, kind=kind)
    if (status is None or status == 500) and any(word in lower for word in _TEMPLATE_WORDS):
        return LlamaServerTemplateError(full, status=status, kind=kind)
    if status is not None and 400 <= status < 500:
        return LlamaBadRequestError(full, status=status, kind=kind)
    return LlamaServerError(full, status=status, kind=kind)


def check_api_key(key: str | None) -> str | None:
    """``key`` if it can stand in a header. The errors do not show it."""
    if key is None:
        return None
    if not isinstance(key, str):
        raise TypeError(f"api_key must be a string, not {type(key).__name__}")
    if key != key.strip() or not all(" " <= c <= "~" for c in key):
        raise ValueError("api_key may have ASCII characters only, no line end, no space around it")
    return key


def _has_address(parts: SplitResult) -> bool:
    try:
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, or too large
        return False


def _base_url(url: str) -> str:
    """``url`` as the beginning of every address. ValueError for what is none."""
    if not isinstance(url, str):
        raise TypeError(f"base_url must be a string, not {url!r}")
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if "@" in parts.netloc:
        raise ValueError("base_url cannot hold a password: give the key as api_key")
    # urlsplit takes line ends out without a word.
    is_one = url.isprintable() and " " not in url
    if not is_one or parts.scheme not in ("http", "https") or not _has_address(parts):
        raise ValueError(f"base_url must look like 'http://localhost:8080', not {url!r}")
    path = parts.path.rstrip("/").removesuffix("/v1")
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))
