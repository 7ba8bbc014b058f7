"""The breaks that are reported for a step from one API to another."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from codegen import diff, generate, source
from codegen.api import (
    Api,
    Enum,
    Field,
    Function,
    Header,
    Macro,
    Param,
    Place,
    Struct,
    Typedef,
    parse_type,
)
from codegen.diff import Change
from codegen.errors import CodegenError

pytestmark = pytest.mark.quick

PLACE = Place("llama.h", 1)
SIZES = {"char": 1, "bool": 1, "int8_t": 1, "double": 8, "int64_t": 8, "size_t": 8}


def api(*things: Function | Struct | Enum | Macro | Typedef, tag: str = "b1") -> Api:
    return Api(
        tag=tag,
        headers=(Header("ggml.h", "0"), Header("llama.h", "0")),
        functions=tuple(v for v in things if isinstance(v, Function)),
        structs=tuple(v for v in things if isinstance(v, Struct)),
        enums=tuple(v for v in things if isinstance(v, Enum)),
        macros=tuple(v for v in things if isinstance(v, Macro)),
        typedefs=tuple(v for v in things if isinstance(v, Typedef)),
        omissions=(),
        defaults={},
    )


def function(text: str, *, deprecated: bool = False, replacement: str | None = None) -> Function:
    """From ``int32_t f(*void data, int n)``, the types in prefix notation."""
    match = re.fullmatch(r"(.*) (\w+)\((.*?)(, \.\.\.)?\)", text)
    assert match is not None
    params = [p.rpartition(" ") for p in match[3].split(", ") if p]
    return Function(
        match[2],
        parse_type(match[1]),
        tuple(Param(name, parse_type(ctype)) for ctype, _, name in params),
        bool(match[4]),
        deprecated,
        replacement,
        PLACE,
    )


def struct(*fields: str, name: str = "s", union: bool = False) -> Struct:
    """From ``float a``, ``*void b``: laid out as C does it."""
    placed: list[Field] = []
    end, align = 0, 1
    for text in fields:
        ctype, _, field = text.rpartition(" ")
        size = 8 if ctype.startswith("*") else SIZES.get(ctype, 4)
        offset = 0 if union else -(-end // size) * size
        placed.append(Field(field, parse_type(ctype), offset, size))
        end, align = max(end, offset + size), max(align, size)
    return Struct(name, union, True, -(-end // align) * align, align, tuple(placed), PLACE)


def enum(name: str = "e", **constants: int) -> Enum:
    return Enum(name, tuple(constants.items()), False, PLACE)


def changes(
    old: Function | Struct | Enum | Macro | Typedef | Iterable[object],
    new: Function | Struct | Enum | Macro | Typedef | Iterable[object],
) -> tuple[Change, ...]:
    def as_api(v: object) -> Api:
        return api(*v) if isinstance(v, tuple) else api(v)  # type: ignore[arg-type]

    return diff.compare(as_api(old), as_api(new)).changes


def only(found: tuple[Change, ...]) -> Change:
    (change,) = found
    return change


def test_equal_apis_have_no_changes() -> None:
    same = api(function("void f(int n)"), struct("int a"), enum(A=0))
    result = diff.compare(same, replace(same, tag="b2"))
    assert result.changes == ()
    assert result.summary == "b1 -> b2: no change in the API"


# -- one change, and how it is called


TOKEN = Typedef("token", parse_type("int32_t"), PLACE)
WIDE_TOKEN = Typedef("token", parse_type("int64_t"), PLACE)
TAKES_TOKEN = function("void f(token t)")
OLD_F = function("void f()", deprecated=True, replacement="g")
TEN = [f"int f{i}" for i in range(10)]
OPAQUE = replace(struct(), size=None, align=None)
MACRO, TYPEDEF = Macro("M", 1, False, PLACE), Typedef("t", parse_type("int32_t"), PLACE)
CALLBACK = Typedef("cb", parse_type("*fn(*void) bool"), PLACE)
SAME_SIZE = ("abi", "8 bytes as before")

ONE = {
    "a function is added": (
        (), function("*const char f(*const void data)"),
        "addition", "added: const char *f(const void *data)",
    ),
    "a function is removed": (function("void f()"), (), "source", "removed"),
    "a deprecated one is removed": (OLD_F, (), "source", "removed, was deprecated (use g)"),
    "a typedef is spelled out": (
        (TOKEN, TAKES_TOKEN), (TOKEN, function("void f(int32_t t)")), "addition", None,
    ),
    # Once, at its cause.
    "a typedef is wider": ((TOKEN, TAKES_TOKEN), (WIDE_TOKEN, TAKES_TOKEN), "abi", None),
    "a parameter is renamed": (
        function("void f(int n, int m)"), function("void f(int n, int count)"),
        "addition", "parameters renamed: m is now count",
    ),
    "a function is deprecated": (function("void f()"), OLD_F, "addition", "deprecated: use g"),
    "it is not any more": (OLD_F, function("void f()"), "addition", "no longer deprecated"),
    "fields are swapped": (struct("int a", "int b"), struct("int b", "int a"), *SAME_SIZE),
    "a field has another type": (struct("int a", "int b"), struct("float a", "int b"), *SAME_SIZE),
    "a field has another name": (struct("int a", "int b"), struct("int c", "int b"), *SAME_SIZE),
    "a field has both": (struct("int a", "int b"), struct("float c", "int b"), *SAME_SIZE),
    "a field has no sign": (struct("int a", "int b"), struct("uint32_t a", "int b"), *SAME_SIZE),
    "a field is renamed or replaced": (
        struct("int a", "int b"), struct("int a", "int c"), *SAME_SIZE,
        "renamed or replaced: int b is now c, of the same type and in the same place",
    ),
    "fields move with an addition": (
        struct(*TEN), struct("int new", *TEN), "abi", "40 bytes, now 44",
        "added: int new at 0", "moved by +4 with the neighbours: f0 to f9 (10 fields)",
    ),
    "a field is added to the padding": (
        struct("*void p", "bool a"), struct("*void p", "bool a", "bool b"),
        "abi", "16 bytes as before", "added: bool b at 9",
    ),
    "a field is spelled otherwise": (struct("int a"), struct("int32_t a"), "addition", None),
    "a field is an enum": (struct("int a"), struct("enum e a"), "source", None),
    "a union does not grow": (
        struct("int64_t a", "bool b", union=True),
        struct("int64_t a", "bool b", "float c", union=True), "addition", None,
    ),
    "a union grows": (
        struct("int a", union=True), struct("int a", "double b", union=True), "abi", None,
    ),
    "a struct is added": ((), struct("int a"), "addition", "added, 4 bytes"),
    "a handle is added": ((), OPAQUE, "addition", "added, a handle"),
    "a struct is removed": (struct("int a"), (), "source", None),
    "a value is changed": (enum(A=0, B=1), enum(A=0, B=2), "abi", "value changed: B from 1 to 2"),
    "a constant is removed": (enum(A=0, B=1), enum(A=0), "source", "removed: B = 1"),
    "a value has another name": (
        enum(A=0, B=1), enum(A=0, C=1), "abi", "renamed or replaced: B is now C",
    ),
    "a maximum that is no count": (
        enum(A_MAX=1, B=9), enum(A_MAX=2, B=9), "abi", "value changed: A_MAX from 1 to 2",
    ),
    "an enum is added": ((), enum(A=0, B=1), "addition", None, "A = 0", "B = 1"),
    "an enum is removed": (enum(A=0), (), "source", None, "A = 0"),
    "a constant moves to another enum": (
        (enum("e", A=0, B=1), enum("f", C=0)), (enum("e", A=0), enum("f", C=0, B=1)),
        "source", "moved here: B from e",
    ),
    "a flag": (
        Macro("LLAMA_FLAG", 1, False, PLACE), Macro("LLAMA_FLAG", 2, False, PLACE),
        "abi", "1 is now 2",
    ),
    "a version": (
        Macro("LLAMA_SESSION_VERSION", 1, False, PLACE),
        Macro("LLAMA_SESSION_VERSION", 2, False, PLACE), "addition", "1 is now 2",
    ),
    "a macro is added": ((), MACRO, "addition", None),
    "a macro is removed": (MACRO, (), "source", None),
    "a typedef is added": ((), TYPEDEF, "addition", "added: int32_t t"),
    "a typedef is removed": (TYPEDEF, (), "source", None),
    "a callback is changed": (
        CALLBACK, replace(CALLBACK, type=parse_type("*fn(*void, int) bool")), "abi", None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", ONE)
def test_a_change_says_what_it_breaks(what: str) -> None:
    old, new, kind, text, *details = ONE[what]
    change = only(changes(old, new))  # type: ignore[arg-type]
    assert change.kind == kind
    assert text in (None, change.text)
    assert not details or list(change.details) == details


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("void f(int n)", "void f(int n, int m)", "abi"),
        ("void f(int n)", "void f(size_t n)", "abi"),
        ("void f(int n)", "void f(uint32_t n)", "abi"),
        ("void f(float x)", "void f(int x)", "abi"),
        ("void f(*struct a p)", "void f(*struct b p)", "abi"),
        ("int f()", "int64_t f()", "abi"),
        ("int f()", "void f()", "abi"),
        ("void f()", "struct s f()", "abi"),
        ("void f(int n)", "void f(int n, ...)", "abi"),
        ("void f(*char p)", "void f(*const char p)", "source"),
        ("void f(enum e n)", "void f(int n)", "source"),
        ("int f(int n)", "int32_t f(int32_t n)", "addition"),
        ("void f(int n)", "int f(int n)", "addition"),
        ("void f(int n)", "void f(int m)", "addition"),
    ],
)
def test_a_changed_signature_breaks_calls_or_source(old: str, new: str, kind: str) -> None:
    assert only(changes(function(old), function(new))).kind == kind


def test_a_field_that_moved_past_others_is_named_alone() -> None:
    old = struct("int a", "int b", "int c", "int d")
    change = only(changes(old, struct("int d", "int a", "int b", "int c")))
    assert change.details[0] == "reordered: d from 12 to 0"
    assert len(change.details) == 2


def test_removed_and_retyped_fields_are_named() -> None:
    change = only(changes(struct("int a", "*void b"), struct("*const char b")))
    assert "removed: int a at 0" in change.details
    assert "retyped: void *b is now const char *b" in change.details


def test_a_struct_may_hide_its_fields_and_show_them() -> None:
    assert "hidden" in only(changes(struct("int a"), OPAQUE)).text
    assert "public" in only(changes(OPAQUE, struct("int a"))).text
    swapped = only(changes(struct("int a", "int b"), struct("int b", "int a")))
    assert any("reordered" in line for line in swapped.details)


def test_constants_that_one_insertion_moved_are_one_line() -> None:
    new = enum(A=0, NEW=1, B=2, C=3, D=4, E_COUNT=5)
    added, counted, moved = changes(enum(A=0, B=1, C=2, D=3, E_COUNT=4), new)
    assert (added.kind, added.text) == ("addition", "added: NEW = 1")
    assert (counted.kind, counted.text) == ("addition", "counts the others: E_COUNT from 4 to 5")
    assert (moved.kind, moved.text) == ("abi", "value changed: B to D (3 constants) each by +1")


def test_a_changed_default_is_a_notice() -> None:
    make = function("struct s s_default_params()")
    old = replace(api(make), defaults={make.name: {"n": 1, "m": 2}})
    new = replace(api(make), defaults={make.name: {"n": 3, "m": 2}})
    change = only(diff.compare(old, new).changes)
    assert (change.kind, change.what, change.text) == ("addition", "default", "other values:")
    assert change.details == ("n: 1 is now 3",)


# -- the report


OLD = api(function("void gone()"), struct("int a", "int b"), enum(A=0))
NEW = api(function("*char fresh(*char p)"), struct("int b", "int a"), enum(A=0, B_X=1), tag="b2")


def test_the_summary_counts_what_broke() -> None:
    assert diff.compare(OLD, NEW).summary == (
        "b1 -> b2: breaks the ABI: 1 struct; breaks source: 1 function; "
        "additions and notices: 1 function, 1 enum"
    )


def test_the_text_has_the_main_header_first() -> None:
    other = replace(function("void in_ggml()"), place=Place("ggml.h", 1))
    text = diff.report(diff.compare(api(), api(other, function("void in_llama()"))), "text")
    assert text.index("in_llama") < text.index("in_ggml")


def test_the_text_says_what_breaks_under_its_heading() -> None:
    lines = diff.report(diff.compare(OLD, NEW), "text").splitlines()
    assert lines[0].startswith("b1 -> b2: ")
    abi, source_, rest = (
        lines.index(f"{t}:") for t in ("Breaks the ABI", "Breaks source", "Additions and notices")
    )
    assert abi < lines.index("    struct s: 8 bytes as before") < source_
    assert source_ < lines.index("    function gone: removed") < rest


def test_markdown_shows_c_as_it_is_written() -> None:
    text = diff.report(diff.compare(OLD, NEW), "markdown")
    assert "### Breaks the ABI" in text
    assert r"  - function `fresh`: added: char \*fresh(char \*p)" in text
    assert r"added: B\_X = 1" in text


def test_json_has_every_change() -> None:
    result = diff.compare(OLD, NEW)
    data = json.loads(diff.report(result, "json"))
    assert (data["old"], data["new"], data["summary"]) == ("b1", "b2", result.summary)
    assert [Change(**{**c, "details": tuple(c["details"])}) for c in data["changes"]] == list(
        result.changes
    )


def test_a_report_goes_into_the_changelog_once_and_the_newest_first(tmp_path: Path) -> None:
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text(f"# Changes\n\n{diff.MARKER}\n\n## older\n", "utf-8")
    once = diff.recorded(diff.compare(OLD, NEW), changelog)
    changelog.write_text(once, "utf-8")
    assert diff.recorded(diff.compare(OLD, NEW), changelog) == once
    text = diff.recorded(diff.compare(NEW, replace(OLD, tag="b3")), changelog)
    headings = [h for h in text.splitlines() if h.startswith("## ")]
    assert headings == ["## b3 (before: b2)", "## b2 (before: b1)", "## older"]


def test_a_changelog_without_a_place_for_reports_is_left_alone(tmp_path: Path) -> None:
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text("mine\n", "utf-8")
    with pytest.raises(CodegenError, match="needs a line"):
        diff.recorded(diff.compare(OLD, NEW), changelog)


def test_the_projects_changelog_has_a_place_for_reports() -> None:
    text = (source.PROJECT / "CHANGELOG.md").read_text("utf-8")
    assert text.splitlines().count(diff.MARKER) == 1


# -- an independent witness: the headers' own text


@pytest.fixture(scope="module", params=["b11063", "b9093"])
def step(request: pytest.FixtureRequest) -> tuple[source.Tree, source.Tree, diff.Changes]:
    old, new = (source.resolve(tag=tag) for tag in (request.param, source.pinned_tag()))
    return old, new, diff.compare(generate.read_api(old), generate.read_api(new))


def _words(tree: source.Tree) -> str:
    """The headers without comments, strings and preprocessor lines other than #define."""
    text = ""
    folders = tree.root / "include", tree.root / "ggml" / "include"
    names = {"llama.h", "ggml.h", "ggml-alloc.h", "ggml-backend.h", "ggml-cpu.h", "ggml-opt.h"}
    for folder in folders:
        for path in sorted(folder.glob("*.h")):
            if path.name in names | {"gguf.h"}:
                text += path.read_text("utf-8")
    text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.DOTALL)
    return re.sub(r'"[^"\n]*"', '""', text)


def _functions(text: str) -> set[str]:
    """The names before a parenthesis in declarations with one of the API's markers."""
    text = re.sub(r"^\s*#[^\n]*(?:\\\n[^\n]*)*", "", text, flags=re.MULTILINE)
    marked = re.findall(r"\b(?:GGML|LLAMA|GGML_BACKEND)_API\b([^;{]*)", text)
    names = [re.search(r"\b((?:llama|ggml|gguf)_\w+)\s*\(", words) for words in marked]
    return {match[1] for match in names if match}


def _constants(text: str) -> set[str]:
    bodies = re.findall(r"\benum\b[^{;()]*\{([^}]*)\}", text)
    return {
        match[1]
        for body in bodies
        for entry in body.split(",")
        if (match := re.match(r"\s*([A-Z]\w+)", entry))
    }


def _said(result: diff.Changes, what: str, verb: str) -> set[str]:
    """The names that the report calls added or removed."""
    found: set[str] = set()
    for c in result.changes:
        if c.what == what and verb in c.text.partition(":")[0]:
            lines = c.details or (c.text.partition(": ")[2],)
            found |= {line.partition(" ")[0] for line in lines} if what == "enum" else {c.name}
    return found


def test_functions_and_constants_are_those_of_the_header_texts(
    step: tuple[source.Tree, source.Tree, diff.Changes],
) -> None:
    old, new, result = step
    before, after = _words(old), _words(new)
    assert len(_functions(after)) > 800  # the witness sees something
    assert len(_constants(after)) > 350
    for what, names in (("function", _functions), ("enum", _constants)):
        assert _said(result, what, "added") == names(after) - names(before)
        assert _said(result, what, "removed") == names(before) - names(after)


def test_every_name_in_the_report_is_in_the_headers(
    step: tuple[source.Tree, source.Tree, diff.Changes],
) -> None:
    old, new, result = step
    words = set(re.findall(r"\w+", _words(old) + _words(new)))
    assert result.changes
    assert {c.name for c in result.changes} - words == set()


def test_lines_that_differ_between_the_headers_are_in_the_report(
    step: tuple[source.Tree, source.Tree, diff.Changes],
) -> None:
    """Each function whose declaration has other words than before is spoken of, and no other."""
    old, new, result = step
    before, after = _declarations(_words(old)), _declarations(_words(new))
    differ = {name for name in before.keys() & after.keys() if before[name] != after[name]}
    spoken = {c.name for c in result.changes if c.what == "function" and "added" not in c.text}
    assert spoken - differ == set()
    assert differ - spoken == set()


def _declarations(text: str) -> dict[str, list[str]]:
    """Function -> the words of its declaration."""
    found = {}
    text = re.sub(r"^\s*#[^\n]*(?:\\\n[^\n]*)*", "", text, flags=re.MULTILINE)
    for words in re.findall(r"[^;{}]*\b(?:GGML|LLAMA|GGML_BACKEND)_API\b[^;{]*", text):
        match = re.search(r"_API\b[^;{]*?\b((?:llama|ggml|gguf)_\w+)\s*\(", words)
        if match:
            found[match[1]] = re.findall(r"\w+|[*.,()\[\]]", words)
    return found
