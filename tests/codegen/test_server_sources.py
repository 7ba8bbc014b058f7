"""The reader of the server's sources: forms that it understands, and forms that it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from codegen import diff, render, source
from codegen.api import load
from codegen.errors import CodegenError
from codegen.server import cpp, model, options, read, requests, routes, types
from codegen.server import diff as server_diff
from codegen.server.model import Field, Option, Server

_HEADER = """
struct inner { float temp = 0.80f; uint32_t seed = 7; };
struct params { bool stream = false; inner sampling; int32_t n = -1; };
static bool is_on(const std::string & v) { return v == "on" || v == "1"; }
static kind kind_of(const std::string & v) {
    if (v == "a") { return A; }
    if (v == "b") { return B; }
    throw std::runtime_error("unknown");
}
"""


def _schema(body: str) -> list[Field]:
    text = f"fields {requests.SCHEMA}(const base & params_base, params & params) {{ {body} }}"
    helpers = types.Helpers({"h": cpp.lex(_HEADER, "h")})
    return requests.schema(cpp.lex(text, "schema.cpp"), helpers)


def _table(body: str, constants: dict[str, int] | None = None) -> list[Option]:
    text = f"{_HEADER} context {options.TABLE}(params & params, llama_example ex) {{ {body} }}"
    code = cpp.lex(text, "arg.cpp")
    return options.table(code, types.Helpers({"arg.cpp": code}), constants or {})


def _opt(handler: str, rest: str = '"N", ""', chain: str = "") -> str:
    return f'add_opt(common_arg({{"-x", "--ex"}}, {rest}, [](params & params{handler}){chain});'


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (
            'add((new field_num("t", params.sampling.temp))->set_hard_limits(0.0f, 1.0f));',
            Field("t", ("float",), (), "float", 0.0, 1.0, True, (), 0.8),
        ),
        (
            'add((new field_num("n", params.n))->add_alias("m")->set_limits(1, params_base.most));',
            Field("n", ("int",), ("m",), "int32_t", 1, "params_base.most", False, (), -1),
        ),
        (
            'add((new field_str("k"))->set_handler([&](ctx & c, const json & data) {'
            ' c.k = kind_of(data.at("k").get<std::string>()); }));',
            Field("k", ("str",), choices=("a", "b")),
        ),
        (
            'add((new field_json("j"))->set_handler([&](ctx & c, const json & data) {'
            ' for (const auto & t : data.at("j")) { use(t.get<std::string>()); } }));',
            Field("j", ("list[str]",)),
        ),
        ('add((new field_bool("stream", params.stream)));', Field(
            "stream", ("bool",), ctype="bool", default=False)),
    ],
)  # fmt: skip
def test_a_field_has_its_type_limits_and_words(text: str, field: Field) -> None:
    (found,) = _schema("#if 0\nadd(new no_field);\n#endif\n" + text)
    assert replace(found, place="") == field


@pytest.mark.parametrize(
    ("text", "option"),
    [
        (_opt(") {}", '""'), Option(("-x", "--ex"), "flag")),
        (
            _opt(", bool v) {}", '{"--no-ex"}, ""', '.set_env("E")'),
            Option(("-x", "--ex"), "switch", ("--no-ex",), env="E"),
        ),
        (
            _opt(", int v) { if (v < 1 || v > MOST || v == 7) { throw error(); } }"),
            Option(("-x", "--ex"), "int", (), ("N",), (), 1, 9, (7,)),
        ),
        (
            _opt(', const std::string & v) { n = v == "all" ? -1 : std::stoi(v); }'),
            Option(("-x", "--ex"), "int", (), ("N",), ("all",)),
        ),
        (
            _opt(", const std::string & v) { params.k = kind_of(v); }"),
            Option(("-x", "--ex"), "str", (), ("N",), ("a", "b")),
        ),
        (
            _opt(", const std::string & v) { params.l = string_split<std::string>(v, ';'); }"),
            Option(("-x", "--ex"), "str", (), ("N",), joined=";"),
        ),
        (
            _opt(", const std::string & v) { if (!exists(v)) { throw error(); } }"),
            Option(("-x", "--ex"), "str", (), ("N",), further=True),
        ),
    ],
)  # fmt: skip
def test_an_option_has_the_type_and_limits_of_its_handler(text: str, option: Option) -> None:
    (found,) = _table(text, {"MOST": 9})
    assert replace(found, place="", programs=()) == option


def test_an_option_is_of_the_programs_that_are_named() -> None:
    one = _opt(") {}", '""', ".set_examples({S, T}).set_excludes({U})")
    other = f"if (ex == S) {{ {_opt(') {}', chr(34) * 2)} }} else {{ {_opt(') {}', chr(34) * 2)} }}"
    depends = f"if (has_rpc()) {{ {_opt(') {}', chr(34) * 2)} }}"
    found = _table(one + other + depends)
    common = ("LLAMA_EXAMPLE_COMMON",)
    assert [(o.programs, o.excludes, o.condition) for o in found] == [
        (("S", "T"), ("U",), ""), (("S",), (), ""), (common, ("S",), ""),
        (common, (), "has_rpc ( )"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('add((new field_date("d", params.n)));', "schema.cpp:1: expected a new field"),
        ('add((new field_num("d", params.what)));', "schema.cpp:1: the type of params.what is not"),
        ('add((new field_num("d", params.n))->set_step(2));', "d: set_step is not a known method"),
        ('if (x) { other(new field_num("d", params.n)); }', "1 fields are made, but 0 are added"),
    ],
)
def test_an_unknown_form_of_a_field_is_an_error_with_its_place(text: str, fault: str) -> None:
    with pytest.raises(CodegenError, match=re.escape(fault)):
        _schema(text)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (_opt(", long v) {}"), "arg.cpp:10: not a known form of an option"),
        (_opt(", int v) {}", '{"--no-ex"}, ""'), "not a known form of an option"),
        (_opt(") {}", '""', ".set_hidden()"), "--ex: not a known method of an option"),
        (f"for (auto & x : all) {{ {_opt(') {}')} }}", "options are added in a loop"),
        ("list.push_back(common_arg());", "1 options are made, but 0 added in a known way"),
        (_opt(") {}", '""', ".set_examples(others)"), "not a known list of programs"),
    ],
)
def test_an_unknown_form_of_an_option_is_an_error_with_its_place(text: str, fault: str) -> None:
    with pytest.raises(CodegenError, match=re.escape(fault)):
        _table(text)


def test_routes_and_text_that_is_not_known_are_errors() -> None:
    known = routes.routes(cpp.lex('if (is_router_server) { ctx_http.del("/m", w(r.d)); }', "s.cpp"))
    assert [(r.name, r.handler, r.router) for r in known] == [("DELETE /m", "d", True)]
    with pytest.raises(CodegenError, match=r"s\.cpp:2: not a known way to register a route"):
        routes.routes(cpp.lex('\nctx_http.put("/m", h);', "s.cpp"))
    with pytest.raises(CodegenError, match=r"s\.cpp:1: no route is registered"):
        routes.routes(cpp.lex("int x;", "s.cpp"))
    with pytest.raises(CodegenError, match=r"s\.cpp:3: '@ x' is not known C\+\+"):
        cpp.lex("/* @ */\nint y;\n@ x", "s.cpp")
    with pytest.raises(CodegenError, match=r"s\.cpp: there is no function f"):
        cpp.function(cpp.lex("f();", "s.cpp"), "f")


def test_a_tree_without_the_sources_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CodegenError, match=re.escape(read.needed()[0])):
        read.server(tmp_path, "b1", {})


@pytest.fixture(scope="module")
def told() -> Server:
    server = load(render.API_JSON).server
    assert server is not None
    return server


def test_the_data_are_those_of_the_pin_and_no_description_is_in_them(told: Server) -> None:
    text = model.dump(told)
    assert told.tag == source.pinned_tag()
    assert json.loads(text)["tag"] == told.tag
    sentences = re.findall(r'"[^"]*\w+ \w+ \w+ \w+ \w+[^"]*"', text)
    assert all("TOOL" in s or "<" in s for s in sentences), sentences[:5]


def _changed(told: Server, name: str, **values: object) -> Server:
    changed = tuple(replace(o, **values) if name in o.names else o for o in told.options)  # type: ignore[arg-type]
    fields = tuple(
        replace(f, **values) if f.name == name else f  # type: ignore[arg-type]
        for f in told.requests["generation"]
    )
    return replace(told, options=changed, requests={**told.requests, "generation": fields})


@pytest.mark.parametrize(
    ("name", "values", "row"),
    [
        ("--jinja", {"type": "flag"}, ("source", "was of type switch, is flag")),
        ("--prio", {"maximum": 2}, ("source", "limits -1 to 3, now -1 to 2")),
        ("--prio", {"maximum": 4}, ("addition", "limits -1 to 3, now -1 to 4")),
        (
            "--lazy-mode",
            {"choices": ("on", "off")},
            ("source", "values on, auto, off, now on, off"),
        ),
        ("--top-k", {"env": ""}, ("source", "variable LLAMA_ARG_TOP_K, now none")),
        ("n_keep", {"types": ("float",)}, ("source", "types int, now float")),
        ("n_keep", {"minimum": 0}, ("source", "limits -1 to 2147483647, now 0 to 2147483647")),
        ("top_p", {"minimum": 0.5}, ("addition", "limits 0.0 to 1.0, now 0.5 to 1.0")),
        ("top_p", {"hard": True}, ("source", "limits 0.0 to 1.0, now 0.0 to 1.0, which are refus")),
        ("top_p", {"default": 0.9}, ("addition", "default 0.95, now 0.9")),
    ],
)
def test_a_change_is_reported_with_what_it_breaks(
    told: Server, name: str, values: dict[str, object], row: tuple[str, str]
) -> None:
    found = list(server_diff.compare(told, _changed(told, name, **values)))
    assert {(kind, text[: len(row[1])]) for kind, _, _, _, text, _ in found} == {row}
    assert name in {n for _, _, _, n, _, _ in found}


def test_a_removed_field_option_and_route_break_source(told: Server) -> None:
    def without(values: Sequence[object], name: str) -> tuple[object, ...]:
        return tuple(v for v in values if name not in (v.name, getattr(v, "path", "")))  # type: ignore[attr-defined]

    fewer = replace(
        told,
        options=without(told.options, "--jinja"),
        routes=without(told.routes, "/metrics"),
        requests={**told.requests, "chat": without(told.requests["chat"], "reasoning_effort")},
    )
    api = load(render.API_JSON)
    for old, new, kind, text in (
        (told, fewer, "source", "removed"),
        (fewer, told, "addition", "added"),
    ):
        changes = diff.compare_all([replace(api, server=old)], [replace(api, server=new)])
        assert {(c.what, c.name, c.kind, c.text) for c in changes.changes} == {
            ("chat field", "reasoning_effort", kind, text),
            ("server option", "--jinja", kind, text),
            ("server option", "--no-jinja", kind, text),
            ("route", "GET /metrics", kind, text),
        }
