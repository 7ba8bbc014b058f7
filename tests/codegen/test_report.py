"""The coverage report against the headers' own text, read in another way than the generator's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from codegen import generate, source
from codegen.api import Api
from codegen.render import report
from tests.support.python import ROOT

pytestmark = pytest.mark.quick


@pytest.fixture(scope="module", params=[b.module for b in source.bindings()])
def api(request: pytest.FixtureRequest) -> Api:
    return next(a for a in generate.committed_apis() if a.module == request.param)


def _headers(api: Api) -> Iterator[tuple[str, str]]:
    """Name and text, without comments and C++, of the main header, and of every one that it
    includes, but for those of the base."""
    root = source.fetch_headers(source.pinned_tag())
    binding = next(b for b in source.bindings() if b.module == api.module)
    found = dict(_headers(api.base)) if api.base else {}
    theirs = set(found)

    def read(name: str) -> None:
        for folder in binding.include:
            path = root / folder / name
            if path.is_file() and name not in found:
                text = path.read_text("utf-8")
                text = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)
                # Parts for C++ alone are not bound.
                found[name] = re.sub(
                    r"^#ifdef __cplusplus$(?:(?!^#el|^#if).)*?^#endif$",
                    "",
                    text,
                    flags=re.DOTALL | re.MULTILINE,
                )
                for included in re.findall(r'^\s*#\s*include\s*"(.+)"', found[name], re.MULTILINE):
                    read(included)

    read(Path(binding.header).name)
    yield from ((name, text) for name, text in found.items() if name not in theirs)


def _declared(api: Api) -> Iterator[tuple[str, str]]:
    """(header, name) of everything that looks like a declaration."""
    for header, text in _headers(api):
        for name in re.findall(r"^\s*#\s*define\s+(\w+)", text, re.MULTILINE):
            if not name.startswith("_"):
                yield header, name
        code = re.sub(r"^\s*#(?:[^\n]*\\\n)*[^\n]*", "", text, flags=re.MULTILINE)
        # Functions: from the export macro to the first name with a bracket behind it.
        for rest in re.split(r"\b(?:LLAMA_API|GGML_API|GGML_BACKEND_API|MTMD_API)\b", code)[1:]:
            match = re.search(r"\b(?!__attribute__|DEPRECATED\b)(\w+)\s*\(", rest)
            assert match, rest[:80]
            yield header, match[1]
        for name in re.findall(r"\b(?:struct|union|enum)\s+(\w+)\s*[{;]", code):
            yield header, name
        for name in re.findall(r"\btypedef\b[^;{]*?\(\s*\*\s*(\w+)\s*\)", code):
            yield header, name
        for name in re.findall(r"\btypedef\b[^;{()]*?\b(\w+)\s*;", code):
            yield header, name
        for body in re.findall(r"\benum\b[^;{()]*\{(.*?)\}", code, re.DOTALL):
            for item in body.split(","):
                match = re.match(r"\s*(\w+)", item)
                if match:
                    yield header, match[1]


def _unexplained(api: Api) -> set[tuple[str, str]]:
    """Declarations of the headers that the API neither binds nor lists with a reason."""
    known = {o.name for o in api.omissions if o.reason}
    for values in (api.macros, api.functions, api.structs, api.typedefs, api.enums):
        known |= {value.name for value in values}
    known |= {name for e in api.enums for name, _ in e.constants}
    return {(header, name) for header, name in _declared(api) if name not in known}


def test_that_every_declaration_is_bound_or_explained(api: Api) -> None:
    assert _unexplained(api) == set()


def test_that_the_other_way_finds_as_much(api: Api) -> None:
    # Otherwise the test above could pass by finding nothing.
    names = {name for _, name in _declared(api)}
    functions = {f.name for f in api.functions}
    constants = {name for e in api.enums for name, _ in e.constants}
    assert functions <= names
    assert constants <= names
    assert {s.name for s in api.structs if s.tagged and not s.opaque} <= names
    assert {m.name for m in api.macros} <= names | {m.name for m in api.macros if m.variable}


KINDS = ("functions", "macros", "structs", "enums", "typedefs", "omissions")


def test_that_a_gap_is_found(api: Api) -> None:
    kinds = [kind for kind in KINDS if getattr(api, kind)]
    assert "functions" in kinds
    for kind in kinds:
        values = getattr(api, kind)
        declared = {name for _, name in _declared(api)}
        # A struct's typedef may have the same name, which is then still there.
        others = {v.name for k in KINDS if k != kind for v in getattr(api, k)}
        gone = next(v for v in values if v.name in declared - others)
        smaller = replace(api, **{kind: tuple(v for v in values if v is not gone)})
        assert gone.name in {name for _, name in _unexplained(smaller)}, kind


def test_that_every_omission_has_a_reason(api: Api) -> None:
    assert all(o.reason for o in api.omissions)
    text = (ROOT / "codegen" / "report.md").read_text("utf-8")
    for o in api.omissions:
        assert f"| `{o.name}` | {o.place} | {o.reason} |" in text


def test_that_the_report_is_the_committed_one() -> None:
    assert report(generate.committed_apis()) == (ROOT / "codegen" / "report.md").read_text("utf-8")


def test_that_the_counts_are_those_of_the_headers(api: Api) -> None:
    totals = re.search(r"^\| all \|(.*)\|$", report([api]), re.MULTILINE)
    assert totals is not None
    row = [int(cell) for cell in totals[1].split("|")]
    functions = {(header, name) for header, name in _declared(api)} & {
        (f.place.header, f.name) for f in api.functions
    }
    assert row[0] == len(functions)
    assert row[-1] == len(api.omissions)
