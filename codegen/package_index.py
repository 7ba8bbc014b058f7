"""Where a file lies on the Python package index: its address and hash, with nothing executed.

`pip download` would run the build backend of a source archive only to read its name.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn
from urllib.parse import urlsplit

import requests
from pypi_simple import (
    PYPI_SIMPLE_ENDPOINT,
    DistributionPackage,
    NoSuchProjectError,
    PyPISimple,
    UnsupportedContentTypeError,
    UnsupportedRepoVersionError,
)

from llama_cpp.engine.downloads import is_safe

from .errors import CodegenError

# Seconds to connect, and to wait between bytes.
_TIMEOUT = (10.0, 30.0)


@dataclass(frozen=True)
class IndexFile:
    """A file on the package index."""

    name: str
    url: str
    sha256: str
    """In hexadecimal, as the index states it; empty where it states none."""
    uploaded: datetime | None


class _Refused(requests.adapters.BaseAdapter):
    """Sends nothing."""

    def send(self, *_: Any, **__: Any) -> NoReturn:
        raise requests.exceptions.InvalidSchema("a redirect from https to http")

    def close(self) -> None:
        pass


def find_file(project: str, filename: str) -> IndexFile:
    """Look up one file of a project on the index that pip uses: `$PIP_INDEX_URL`, else PyPI.

    Raises `CodegenError` when the index cannot be reached, or has no such project or file, or
    states no SHA-256 for it.
    """
    files = list_files(project)
    for file in files:
        if file.name == filename:
            if not file.sha256:
                raise CodegenError(f"the package index states no SHA-256 for {filename}")
            return file
    raise CodegenError(
        f"the package index at {_host()} has no file {filename!r} of {project!r} "
        f"(it has {len(files)} others)"
    )


def list_files(project: str) -> list[IndexFile]:
    """A project's files. Raises `CodegenError` as `find_file` does."""
    return [
        IndexFile(p.filename, p.url, p.digests.get("sha256", ""), p.upload_time)
        for p in _ask(project)
    ]


def _host() -> str:
    return urlsplit(_endpoint()).hostname or "an address without a host"


def _endpoint() -> str:
    return os.environ.get("PIP_INDEX_URL") or PYPI_SIMPLE_ENDPOINT


def _ask(project: str) -> list[DistributionPackage]:
    """The packages of ``project`` in the index."""
    endpoint, index = _endpoint(), _host()
    if not is_safe(endpoint):
        raise CodegenError(
            f"the package index at {index} is not used: without https its hashes could be changed "
            "on the way. PIP_INDEX_URL must be an https address"
        )
    try:
        with PyPISimple(endpoint) as client:
            if endpoint.startswith("https:"):
                client.s.mount("http://", _Refused())  # where it may redirect to
            return client.get_project_page(project, timeout=_TIMEOUT).packages
    except NoSuchProjectError as error:
        raise CodegenError(f"the package index at {index} has no project {project!r}") from error
    except (
        OSError,  # every error of requests is one
        UnsupportedContentTypeError,
        UnsupportedRepoVersionError,
    ) as error:
        # The error's own text may hold the index's address with a password in it.
        raise CodegenError(
            f"cannot ask the package index at {index} for {project!r}: {type(error).__name__}; "
            "check the network, or PIP_INDEX_URL"
        ) from error
