"""Options and fields are checked by tables that are made from llama.cpp's sources, and the tables
by the engine's own llama-server."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from codegen.api import load
from codegen.render import API_JSON
from codegen.server import read, witness
from codegen.server.model import Server
from llama_cpp import LlamaClient, LlamaLibrary, LlamaServer
from llama_cpp.agent.server import _arguments, _lines
from llama_cpp.cli._quantize import quantize
from llama_cpp.server import LlamaRpcServer, _fields
from llama_cpp.server._options import LEFT_OUT, OPTIONS, ServerOptions
from tests.support import tiny
from tests.support.python import ROOT, run_command


@pytest.fixture(scope="module")
def told() -> Server:
    """The facts of the sources, as data."""
    server = load(API_JSON).server
    assert server is not None
    return server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    model = tiny.make("llama", tmp_path_factory.mktemp("options"))
    with LlamaServer(model, ctx_size=256, threads=1, parallel=1) as server:
        yield server


# -- the server's own answers


def _help(library: LlamaLibrary) -> str:
    return witness.help_of(library.path.parent / "llama-server")


def test_the_help_lists_these_options_and_no_other(told: Server, library: LlamaLibrary) -> None:
    report = witness.by_help(told, _help(library))
    assert not report.faults
    assert report.counts["options"] > 250


@pytest.mark.parametrize(
    ("name", "keywords"),
    [
        ("ggml-rpc-server", set(inspect.signature(LlamaRpcServer).parameters)),
        ("llama-quantize", {str(param.name) for param in quantize.params}),
    ],
)
def test_other_programs_have_these_options_and_python_has_them(
    told: Server, library: LlamaLibrary, name: str, keywords: set[str]
) -> None:
    known = told.programs[name]
    text = witness.help_of(library.path.parent / name)
    assert not witness.by_usage(name, known, text).faults
    assert witness.by_usage(name, known[1:], text).faults == [
        f"{n} of the help is missing" for n in sorted(known[0].names)
    ]
    renamed, reasons = read.config()["renamed"].get(name, {}), read.left_out(name)
    words = {option.name.lstrip("-").replace("-", "_") for option in known}
    assert {renamed.get(word, word) for word in words - reasons.keys()} <= keywords
    assert reasons.keys() <= words


def test_the_program_takes_what_is_in_the_limits_and_refuses_the_rest(
    told: Server, library: LlamaLibrary
) -> None:
    report = witness.by_start(told, library.path.parent / "llama-server")
    assert not report.faults
    assert report.counts["values beyond"] > 200


def test_a_running_server_has_these_fields_limits_and_defaults(
    told: Server, server: LlamaServer
) -> None:
    send = witness.sender(server.base_url, server.api_key)
    requests = witness.by_requests(told, send, "generation")
    props = server.client().props()["default_generation_settings"]["params"]
    defaults = witness.by_props(told, props)
    assert not [*requests.faults, *defaults.faults]
    assert requests.counts["requests"] > 100
    assert defaults.counts["defaults"] > 30
    others = witness.by_requests(told, send, "chat", "infill", "tokenize", "detokenize")
    assert not others.faults
    assert others.counts["requests"] > 15


def test_a_server_that_ranks_has_the_fields_of_its_requests(told: Server, tmp_path: Path) -> None:
    with LlamaServer(tiny.make("rerank", tmp_path), reranking=True, threads=1) as server:
        send = witness.sender(server.base_url, server.api_key)
        for kind in ("rerank", "embedding"):
            assert send(*witness.REQUESTS[kind]) == 200
        report = witness.by_requests(told, send, "rerank", "embedding")
    assert not report.faults
    assert report.counts["requests"] >= 4


_ROUTE = re.compile(r"``(GET|POST|DELETE) (/[^`?]*)")


def _without_a_method(told: Server) -> list[str]:
    """The routes that no docstring of LlamaClient names, and that are not left out with a reason;
    and the names and reasons without a route."""
    docs = "".join(m.__doc__ or "" for m in vars(LlamaClient).values())
    named = {f"{method} {path}" for method, path in _ROUTE.findall(docs)}
    routes = {re.sub(r":\w+", "{id}", r.name): r for r in told.routes}
    reasons = read.left_out("routes")
    handled = {routes[name].handler for name in (*named, *reasons) if name in routes}
    lacking = [n for n, r in routes.items() if r.handler not in handled]
    return [*lacking, *(name for name in (*named, *reasons) if name not in routes)]


def test_each_route_has_a_method_or_a_reason(told: Server) -> None:
    assert not _without_a_method(told)
    assert len(told.routes) > 50


# -- a fault in the data is found and named


def _changed(told: Server, field: str, /, **values: Any) -> Server:
    fields = [replace(f, **values) if f.name == field else f for f in told.requests["generation"]]
    return replace(told, requests={**told.requests, "generation": tuple(fields)})


def _option(told: Server, name: str, **values: Any) -> Server:
    changed = [replace(o, **values) if name in o.names else o for o in told.options]
    return replace(told, options=tuple(changed))


def test_faults_in_options_are_named(told: Server, library: LlamaLibrary) -> None:
    program, text = library.path.parent / "llama-server", _help(library)
    dropped = replace(told, options=tuple(o for o in told.options if o.name != "--jinja"))
    for planted, names in (
        (
            _option(told, "--ctx-size", names=("-c", "--context-size")),
            ("--context-size", "--ctx-size"),
        ),
        (_option(told, "--ctx-size", type="flag"), ("--ctx-size",)),
        (_option(told, "--ctx-size", env="LLAMA_CTX"), ("LLAMA_CTX",)),
        (dropped, ("--jinja",)),
    ):
        faults = witness.by_help(planted, text).faults
        assert faults
        for name in names:
            assert name in "".join(faults)
    few = replace(told, options=tuple(o for o in told.options if o.name in ("--prio", "--pooling")))
    assert not witness.by_start(few, program).faults
    for planted, name in (
        (_option(few, "--prio", maximum=2), "--prio 3 is accepted"),
        (_option(few, "--prio", minimum=-2), '"--prio": invalid value'),
        (_option(few, "--pooling", choices=("none", "most")), '"--pooling": invalid value'),
    ):
        assert name in "".join(witness.by_start(planted, program).faults)


def test_faults_in_fields_are_named(told: Server, server: LlamaServer) -> None:
    send = witness.sender(server.base_url, server.api_key)
    props = server.client().props()["default_generation_settings"]["params"]
    wrong_type = _changed(told, "n_keep", types=("float",), minimum=0.0, maximum=0.5)
    for planted, name in (
        (_changed(told, "min_keep", minimum=1), "min_keep=0: the server should refuse"),
        (_changed(told, "temperature", hard=True), "temperature=-0.25: the server should refuse"),
        (wrong_type, "n_keep=0.75: the server should refuse"),
        (_changed(told, "top_k", default=41), "top_k is 40, not 41"),
        (_changed(told, "top_p", name="top_prob"), "the server has top_p"),
    ):
        reports = witness.by_requests(planted, send, "generation"), witness.by_props(planted, props)
        assert name in "".join(fault for r in reports for fault in r.faults)


def test_a_new_route_is_named(told: Server) -> None:
    route = replace(told.routes[0], path="/v1/dream", handler="post_dream", method="POST")
    assert _without_a_method(replace(told, routes=(*told.routes, route))) == ["POST /v1/dream"]
    fewer = replace(told, routes=tuple(r for r in told.routes if r.path != "/metrics"))
    assert _without_a_method(fewer) == ["GET /metrics"]


# -- arguments of programs


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ctx_size": 512, "jinja": True, "alias": None}, "--ctx-size 512 --jinja"),
        ({"warmup": False, "no_repack": True, "metrics": False}, "--no-warmup --no-repack"),
        ({"no_warmup": False}, "--warmup"),
        ({"flash_attn": True, "fit": False}, "--flash-attn on --fit off"),
        ({"gpu_layers": "all", "temp": 1, "seed": -1}, "--gpu-layers all --temp 1 --seed -1"),
        ({"lora": [Path("a"), 'b,"'], "mmproj": Path("m")}, '--lora a,"b,""" --mmproj m'),
        ({"lora": [], "alias": ()}, ""),
        ({"lora": Path("a,b")}, '--lora "a,b"'),
        ({"lora": "a,b"}, "--lora a,b"),
        ({"samplers": ["top_k", "temperature"]}, "--samplers top_k;temperature"),
        ({"reverse_prompt": ["a", "b"]}, "--reverse-prompt a --reverse-prompt b"),
        ({"control_vector_layer_range": (1, 5)}, "--control-vector-layer-range 1 5"),
    ],
)
def test_options_become_words(options: dict[str, Any], words: str) -> None:
    assert _arguments(options, OPTIONS) == words.split()


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"ctx_sise": 1}, TypeError, "no keyword argument 'ctx_sise'; did you mean 'ctx_size'?"),
        ({"model_draft": 1}, ValueError, "model_draft must be of type str, not 1"),
        ({"ctx_size": "x"}, ValueError, "ctx_size must be of type int, not 'x'"),
        ({"ctx_size": True}, ValueError, "ctx_size must be of type int, not True"),
        ({"ctx_size": 2**31}, ValueError, "is outside -2147483648 to 2147483647"),
        ({"temp": float("nan")}, ValueError, "temp must be of type float, not nan"),
        ({"prio": 4}, ValueError, "prio=4 is outside -1 to 3"),
        ({"parallel": 0}, ValueError, "parallel cannot be 0"),
        ({"pooling": "most"}, ValueError, "'most' is not one of none, mean, cls, last, rank"),
        ({"ctx_size": [1, 2]}, ValueError, "ctx_size takes one value, not [1, 2]"),
        ({"temp": 10**400}, ValueError, "temp must be of type float"),
        ({"jinja": "on"}, ValueError, "jinja must be of type bool, not 'on'"),
        ({"control_vector_layer_range": 1}, ValueError, "must be a pair, not 1"),
        ({"samplers": ["a;b"]}, ValueError, "splits at each ';'"),
        ({"draft_max": 3}, TypeError, "cannot be given as an option: llama-server has it no more"),
        ({"version": True}, TypeError, "'version' cannot be given as an option: prints and ends"),
        ({"api_key_file": "x"}, TypeError, "'api_key_file' cannot be given as an option"),
    ],
)
def test_wrong_options_are_refused_before_a_start(
    options: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=re.escape(text)):
        LlamaServer(ROOT / "README.md", program="/nowhere", **options)


def test_a_preset_has_options_and_those_of_its_own() -> None:
    options = {"ctx-size": 5, "jinja": False, "load_on_startup": "1", "mmproj": None}
    assert _lines(options) == {"ctx-size": "5", "no-jinja": "true", "load-on-startup": "1"}
    with pytest.raises(TypeError, match="'ctx_sise'; did you mean 'ctx_size'"):
        _lines({"ctx-sise": 5})


def _tables() -> list[tuple[type, Mapping[str, object]]]:
    chat = {**_fields.GENERATION, **_fields.CHAT}
    return [(ServerOptions, OPTIONS), (_fields.ChatParams, chat),
            (_fields.CompletionParams, _fields.COMPLETION)]  # fmt: skip


@pytest.mark.parametrize(("hints", "table"), _tables())
def test_hints_and_checks_have_the_same_names(hints: type, table: Mapping[str, object]) -> None:
    assert list(get_type_hints(hints)) == list(table)
    assert not LEFT_OUT.keys() & table.keys()


@pytest.mark.parametrize(
    ("fields", "error", "text"),
    [
        ({"temprature": 1}, TypeError, "no keyword argument 'temprature'; did you mean"),
        ({"stream": True}, TypeError, "the request has no keyword argument 'stream'"),
        ({"top_k": 1.5}, ValueError, "top_k must be of type int, not 1.5"),
        ({"max_tokens": -2}, ValueError, "max_tokens=-2 is outside -1 to 2147483647"),
        ({"adaptive_decay": 1.0}, ValueError, "adaptive_decay=1.0 is outside 0 to 0.99"),
        ({"reasoning_format": "x"}, ValueError, "'x' is not one of none, auto, deepseek"),
        ({"grammar": Path("g")}, ValueError, "grammar must be of type str, not"),
        ({"samplers": ["top_k", 1]}, ValueError, "samplers must be of type list[str] or str"),
        ({"logit_bias": "x"}, ValueError, "logit_bias must be of type list or object, not 'x'"),
    ],
)
def test_wrong_fields_are_refused_before_a_request(
    fields: dict[str, Any], error: type[Exception], text: str
) -> None:
    with LlamaClient("http://127.0.0.1:1") as client:
        for ask in (client.chat_completion, client.complete):
            with pytest.raises(error, match=re.escape(text)):
                ask([] if ask == client.chat_completion else "a", **fields)  # type: ignore[operator]


def test_numbers_of_other_types_are_sent_as_json(server: LlamaServer) -> None:
    import numpy as np

    with server.client() as client:
        params: Any = {"max_tokens": np.int64(2), "temperature": np.float32(0.5), "stop": ("q",)}
        answer = client.complete("a", **params)
    assert answer["tokens_predicted"] <= 2
    assert answer["generation_settings"]["temperature"] == 0.5


_PROGRAM = """
from llama_cpp import LlamaClient, LlamaServer

LlamaServer("m.gguf", ctx_size=8192, flash_attn="on", gpu_layers="all", lora=["a", "b"])
LlamaServer("m.gguf", ctx_sise=8192)
LlamaServer("m.gguf", ctx_size="8192")
LlamaServer("m.gguf", pooling="most")
LlamaServer("m.gguf", timeout=3.0, metrics=True, mmproj=None)
client = LlamaClient()
client.complete("a", temperature=0.5, logprobs=3)
client.chat_completion([], logprobs=True, tools=[])
client.chat_completion([], temprature=0.5)
client.complete("a", top_k="many")
"""


def test_mypy_finds_a_misspelt_option_and_a_wrong_type(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM, "utf-8")
    mypy = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary"]
    done = run_command(*mypy, program)
    found = re.findall(r"program\.py:(\d+): error: .*\[([\w-]+)\]", done.stdout)
    assert [int(line) for line, _ in found] == [5, 6, 7, 12, 13], done.stdout
    assert "ctx_sise" in done.stdout
    assert "temprature" in done.stdout
