"""A pytest plugin for engines of other tags: a test of a missing feature is skipped, by its name.

A test that fails is skipped if the error names something that the pinned API has and the API in
use has not, or that the engine does not export, or llama-server, which prebuilt engines lack; or
if it shows a known fault of an old engine. Whatever else goes wrong is a failure.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Generator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from codegen.api import load
from codegen.origins import number
from codegen.render import API_JSON
from llama_cpp import LlamaLibrary, _raw

# How the package says that something is not there, to who asked for it. (A field that our own code
# relies on is another matter: that is a failure.)
_ERRORS = re.compile(
    r"(?:has no function|declares no function|module 'llama_cpp\._raw' has no attribute"
    r"|'LlamaSampler' object has no attribute|has no keyword argument) '(\w+)'"
)
_SIGNATURE = re.compile(r"TypeError: SamplerMethods\.(\w+)\(\) ")
_SAMPLER = "llama_sampler_init_"
# A test's name -> the first tag that we know to be without upstream's fault, and the fault
_FAULTS = {
    "test_a_clone_goes_on_where_the_chain_was[mirostat]": (
        "b10603", "whole copy by llama_sampler_clone of mirostat",
    ),
}  # fmt: skip


@cache
def _pinned() -> dict[str, int]:
    """Every name of the API that the tests were written for; for a function how many parameters it
    has."""
    api = load(API_JSON)
    names = {m.name for m in api.macros} | {s.name for s in api.structs}
    names |= {e.name for e in api.enums} | {c for e in api.enums for c, _ in e.constants}
    names |= {f.name for s in api.structs for f in s.fields}
    return dict.fromkeys(names, 0) | {f.name: len(f.params) for f in api.functions}


def _lacking(text: str, error: pytest.ExceptionInfo[BaseException]) -> set[str]:
    """The names in an error's text that the API or the engine in use lacks."""
    lacking = set()
    methods = set(_SIGNATURE.findall(text))
    if error.errisinstance(TypeError):  # arguments that fit, but in another order
        methods |= {e.name for e in error.traceback if Path(e.path).name == "_samplers.py"}
    for name in _ERRORS.findall(text):
        for full in (name, f"{_SAMPLER}{name}"):
            if full in _pinned() and not _has(full):
                lacking.add(full)
    if error.errisinstance(FileNotFoundError) and "llama-server'" in text:
        lacking.add("llama-server")  # a prebuilt engine has libraries alone
    for method in methods:
        function = _raw.FUNCTIONS.get(_SAMPLER + method)
        known = _pinned().get(_SAMPLER + method)
        if function is not None and known not in (None, len(function.argtypes)):
            lacking.add(f"{_SAMPLER}{method} with these parameters")
    return lacking


def _has(name: str) -> bool:
    if name in _raw.FUNCTIONS:
        return LlamaLibrary.default().has(name)
    structs = (v for v in vars(_raw).values() if isinstance(v, type))
    fields = {f[0] for v in structs for f in getattr(v, "_fields_", ())}
    return hasattr(_raw, name) or name in fields


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, Any, None]:
    report = (yield).get_result()
    if report.failed and call.excinfo is not None:
        lacking = _lacking(report.longreprtext, call.excinfo)
        first, fault = _FAULTS.get(item.name, ("b0", ""))
        if number(_raw.TAG) < number(first):
            lacking.add(fault)
        if lacking:
            report.outcome = "skipped"
            report.longrepr = (str(item.path), 0, f"Skipped: no {', '.join(sorted(lacking))}")


class _Summary:
    """Counts for the table of ``matrix.py``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.outcomes: dict[str, str] = {}
        self.reasons: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.outcome != "passed" or report.when == "call":
            if self.outcomes.get(report.nodeid) != "failed":
                self.outcomes[report.nodeid] = report.outcome
            if report.skipped and isinstance(report.longrepr, tuple):
                self.reasons[report.longrepr[2].removeprefix("Skipped: ")] += 1

    def pytest_sessionfinish(self) -> None:
        library = LlamaLibrary.default()
        data = {
            "tag": _raw.TAG,
            "package": str(Path(str(_raw.__file__)).parent),
            "library": str(library.path),
            **Counter(self.outcomes.values()),
            "reasons": self.reasons,
            "failures": [n for n, outcome in self.outcomes.items() if outcome == "failed"],
        }
        self.path.write_text(json.dumps(data), "utf-8")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--summary", type=Path, help="write the counts into this file, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("--summary")
    if path is not None:
        config.pluginmanager.register(_Summary(path))
