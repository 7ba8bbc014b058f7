"""Downloads that resume after a dropped connection and are checked against their SHA-256."""

from __future__ import annotations

import base64
import hashlib
import http.client
import ipaddress
import os
import re
import ssl
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from ..errors import LlamaDownloadError, LlamaHashError
from .find import make_folder
from .progress import Progress
from .publish import sync_folder

_CHUNK = 1 << 20
_USER_AGENT = "llama-py"
_RETRY_DELAY = 0.5  # seconds; doubles with each attempt


class _Dropped(Exception):
    """The connection failed in a way that another attempt may cure."""


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def download(
    url: str,
    dest: Path,
    *,
    sha256: str,
    label: str | None = None,
    timeout: float = 30.0,
    attempts: int = 4,
    max_bytes: int = 4 << 30,
) -> Path:
    """Fetch `url` (https, or http from this machine itself) into the file `dest` and return `dest`.

    `sha256` is the promised digest in hexadecimal. If `dest` already has it, nothing is fetched.
    The file appears complete or not at all. A dropped connection is resumed where it broke, up to
    `attempts` times; `timeout` is in seconds, for connecting and for each read. Downloads over
    `max_bytes` are refused, because the bytes are on the disk before their digest is known.

    Raises `LlamaHashError` when the content does not match the digest, and `LlamaDownloadError`
    for any other failure of the network or the disk.
    """
    wanted = sha256.lower()
    if not re.fullmatch("[0-9a-f]{64}", wanted):
        raise _failure(url, f"{sha256!r} is not a SHA-256 digest (64 hexadecimal digits)")
    if dest.is_file() and sha256_of(dest) == wanted:
        return dest
    make_folder(dest.parent)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{dest.name}.", suffix=".part", dir=dest.parent)
        part = Path(name)
        try:
            with (
                os.fdopen(handle, "r+b") as stream,
                closing(Progress(label or f"download {dest.name}")) as progress,
            ):
                _fetch(url, stream, progress, timeout, attempts, max_bytes)
                stream.flush()
                os.fsync(stream.fileno())
            received = sha256_of(part)
            if received != wanted:
                raise LlamaHashError(
                    f"{shown_url(url)}: expected SHA-256 {wanted}, got {received}; the file was "
                    "removed",
                    url=shown_url(url),
                    expected=wanted,
                    got=received,
                )
            part.replace(dest)
        finally:
            part.unlink(missing_ok=True)
        sync_folder(dest.parent)
    except OSError as error:
        raise _failure(url, f"cannot write {dest}: {error}") from error
    return dest


def read_url(
    url: str, *, timeout: float = 5.0, deadline: float = 10.0, limit: int = 8 << 20
) -> bytes:
    """The content of a page of at most `limit` bytes; one attempt.

    `timeout` is for connecting and for each read, `deadline` for everything together including
    the name lookup, both in seconds: without a network the call fails soon. Raises
    `LlamaDownloadError`.
    """
    outcome: list[bytes | BaseException] = []

    def fetch() -> None:
        try:
            with _open(url, timeout) as response:
                outcome.append(response.read(limit + 1))
        except BaseException as error:  # raised again in the caller's thread
            outcome.append(error)

    # No timeout of urllib covers the name lookup, hence a thread that may be left behind.
    thread = threading.Thread(target=fetch, daemon=True, name="llama-py-read-url")
    thread.start()
    thread.join(deadline)
    result = outcome[0] if outcome else TimeoutError(f"no answer within {deadline:g} s")
    if isinstance(result, LlamaDownloadError):
        raise result
    if isinstance(result, BaseException):
        raise _failure(url, _reason(result)) from result
    if len(result) > limit:
        raise _failure(url, f"more than {limit} bytes")
    return result


def shown_url(url: str) -> str:
    """The URL without its credentials, fit for a message."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def is_safe(url: str) -> bool:
    """Whether nobody on the way can change the content: https, or this machine itself."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host or parts.scheme != "http":
        return bool(host) and parts.scheme == "https"
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _failure(url: str, message: str) -> LlamaDownloadError:
    shown = shown_url(url)
    return LlamaDownloadError(f"{shown}: {message}", url=shown)


def _fetch(
    url: str, stream: IO[bytes], progress: Progress, timeout: float, attempts: int, max_bytes: int
) -> None:
    for attempt in range(1, attempts + 1):
        try:
            return _receive(url, stream, progress, timeout, max_bytes)
        except _Dropped as error:
            if attempt == attempts:
                raise _failure(url, f"{error} ({attempts} attempts)") from error
            progress.show(f"{error}; trying again")
            time.sleep(_RETRY_DELAY * 2 ** (attempt - 1))


def _receive(
    url: str, stream: IO[bytes], progress: Progress, timeout: float, max_bytes: int
) -> None:
    """One attempt: append the missing bytes to `stream`."""
    done = stream.seek(0, os.SEEK_END)
    with _open(url, timeout, done) as response:
        resumed = response.headers.get("Content-Range", "").startswith(f"bytes {done}-")
        if done and not (response.status == 206 and resumed):
            done = 0  # the server does not resume but sends everything
            stream.seek(0)
            stream.truncate()
        length = response.headers.get("Content-Length", "")
        total = done + int(length) if length.isdigit() else None
        while True:
            try:
                chunk = response.read(_CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise _Dropped(f"connection lost after {done} bytes: {error!s}") from error
            if not chunk:
                break
            done += len(chunk)
            if done > max_bytes:
                raise _failure(url, f"refused, more than {max_bytes} bytes")
            stream.write(chunk)
            share = f" of {total / 1e6:.1f} MB ({100 * done // total}%)" if total else " MB"
            progress.show(f"{done / 1e6:.1f}{share}")
        # http.client reports a body that ends too early as a plain end.
        if total is not None and done < total:
            raise _Dropped(f"connection closed after {done} of {total} bytes")


class _Redirects(HTTPRedirectHandler):
    """Follows redirects to https, and those from this machine to itself."""

    def redirect_request(
        self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        before = urlsplit(req.full_url).scheme
        if urlsplit(newurl).scheme != "https" and (before == "https" or not is_safe(newurl)):
            raise _failure(req.full_url, f"refused a redirect from {before} to {shown_url(newurl)}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(url: str, timeout: float, start: int = 0) -> http.client.HTTPResponse:
    """Send the request for the content from byte `start` on."""
    if not is_safe(url):
        shown = shown_url(url)
        raise LlamaDownloadError(
            f"{shown!r} is not an https address (http is only for this machine itself)", url=shown
        )
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    # Identity: a compressed transfer would have another length and could not be resumed.
    headers = {"User-Agent": _USER_AGENT, "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = Request(urlunsplit(parts._replace(netloc=host, fragment="")), headers=headers)
    if at:
        token = base64.b64encode(unquote(user).encode()).decode()
        # Unredirected: another host must not see the password.
        request.add_unredirected_header("Authorization", f"Basic {token}")
    try:
        response = build_opener(_Redirects).open(request, timeout=timeout)
    except HTTPError as error:
        error.close()
        message = f"HTTP {error.code} {error.reason}"
        if error.code in (408, 429) or error.code >= 500:
            raise _Dropped(message) from error
        raise _failure(url, message) from error
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        raise _Dropped(_reason(error)) from error
    assert isinstance(response, http.client.HTTPResponse)
    return response


def _reason(error: BaseException) -> str:
    reason = getattr(error, "reason", None)
    cause = error if reason is None else reason
    text = str(cause) or type(cause).__name__
    if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError):
        return f"the network does not reach it ({text}); is a proxy missing in HTTPS_PROXY?"
    return text
