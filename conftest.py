"""Fixtures of the tests: the engine, the models, a server."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from examples.fetch_model import fetch_model
from llama_cpp import LlamaContext, LlamaLibrary, LlamaModel
from tests.support import llamaserver, tiny

# Threads that wait for each other must not spin: where there are more of them than cores, as when
# tests run side by side, that makes a decode a hundred times slower. Read when OpenMP is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# A shell starts background programs with Ctrl-C ignored, and children inherit that: the tests that
# send it would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)


def _process() -> dict[str, Any]:
    """State of the whole process, which a test must restore."""
    import resource  # not on Windows

    limits = [name for name in dir(resource) if name.startswith("RLIMIT_")]
    return {
        "environment": {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"},
        "folder": str(Path.cwd()),
        "limits": {name: resource.getrlimit(getattr(resource, name)) for name in limits},
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "garbage collection": (gc.isenabled(), gc.get_threshold()),
        "hooks": (sys.excepthook, sys.unraisablehook, threading.excepthook),
        "interpreter": (sys.getswitchinterval(), sys.getrecursionlimit(), sys.dont_write_bytecode),
        "path": list(sys.path),
    }


@pytest.fixture(autouse=True, scope="module")
def _same_process() -> Iterator[None]:
    """A test file must undo its changes to the process, so that the next files run as if alone."""
    before = _process()
    yield
    after = _process()
    assert after == before, {name: after[name] for name in after if after[name] != before[name]}


@pytest.fixture(scope="session")
def library() -> LlamaLibrary:
    """The engine that a program gets. Fails without one, because the tests test the engine."""
    return LlamaLibrary.default()


@pytest.fixture(scope="session")
def model_path() -> Path:
    return fetch_model()


@pytest.fixture(scope="session")
def model(library: LlamaLibrary, model_path: Path) -> LlamaModel:
    return LlamaModel.from_file(model_path, library=library)


@pytest.fixture
def ctx(model: LlamaModel) -> Iterator[LlamaContext]:
    with LlamaContext(model, n_ctx=256) as context:
        yield context


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``tiny_path(kind)``, ``tiny_path(kind, seed=1)``: the file of a tiny model, see tiny.py."""
    folder = tmp_path_factory.mktemp("tiny")

    @cache
    def path(kind: str, *, seed: int = 0) -> Path:
        return tiny.make(kind, folder, seed=seed)

    return path


@pytest.fixture(scope="session")
def tiny_model(library: LlamaLibrary, tiny_path: Callable[..., Path]) -> Callable[..., LlamaModel]:
    """``tiny_model(kind)``, ``tiny_model(kind, seed=1)``: such a model, loaded once; never to
    be closed, as `Llama.close` does."""

    @cache
    def load(kind: str, *, seed: int = 0) -> LlamaModel:
        return LlamaModel.from_file(tiny_path(kind, seed=seed), library=library)

    return load


@pytest.fixture(scope="session")
def server(
    library: LlamaLibrary, model_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[llamaserver.Running]:
    """llama-server with SmolLM2, whose chat template knows no tools; two slots."""
    folder = tmp_path_factory.mktemp("server")
    with llamaserver.running(
        library, model_path, folder, "--parallel", 2, "--ctx-size", 4096
    ) as up:
        yield up
