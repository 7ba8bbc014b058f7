"""The commands of ``llama-py`` besides the agent, as a user runs them."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import sysconfig
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any
from urllib.request import Request, urlopen

import pytest

from llama_cpp import LlamaLibrary, _raw
from llama_cpp.cli._common import wrapped
from llama_cpp.cli._server import server
from llama_cpp.cli._text import blocks
from llama_cpp.model.gguf import GGUFFile
from tests.support import tiny
from tests.support.command import CLI, run
from tests.support.httpserver import serve
from tests.support.hub import Hub
from tests.support.python import ROOT

Tiny = Callable[..., Path]


def given(*arguments: object, stdin: str = "", env: dict[str, str] | None = None) -> str:
    """The output of a command, which must succeed."""
    done = run(*arguments, stdin=stdin, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def started(*arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [*CLI, *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def output(process: subprocess.Popen[bytes], size: int) -> bytes:
    """The first bytes that it writes, without waiting for ever."""
    assert process.stdout is not None
    end, data = time.monotonic() + 30, b""
    while len(data) < size:
        assert select.select([process.stdout], [], [], max(0, end - time.monotonic()))[0], data
        part = os.read(process.stdout.fileno(), 4096)
        assert part, data
        data += part
    return data


# -- text


def test_run_goes_on_with_a_text_and_with_stdin(model_path: Path) -> None:
    said = ("run", "-m", model_path, "-n", 6, "--temperature", 0, "-c", 128)
    done = run(*said, "--timings", "The capital of France is")
    assert done.returncode == 0, done.stderr
    assert "Paris" in done.stdout
    assert re.search(r"5 tokens of prompt .* 6 generated", done.stderr)
    piped = json.loads(given(*said, "--json", stdin="The capital of France is"))
    assert piped["text"] == done.stdout.removesuffix("\n")
    assert piped["finish_reason"] == "length"
    assert piped["usage"]["completion_tokens"] == len(piped["tokens"]) == 6


def test_text_needs_nothing_that_draws() -> None:
    rare = {"rich.console", "rich.progress", "rich.table", "dataclasses", "difflib"}
    code = f"import sys, llama_cpp.cli._text; print({rare} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "set()\n", done.stderr


def test_the_options_of_sampling_reach_it(tiny_path: Tiny, tmp_path: Path) -> None:
    grammar = tmp_path / "g.gbnf"
    grammar.write_text('root ::= "cat" "cat"')
    said = ("run", "-m", tiny_path("llama"), "--threads", 1, "-g", 0)
    assert given(*said, "--grammar", grammar, "the").strip() == "catcat"
    once = (*said, "-n", 20, "--seed", 7, "--temperature", 1.5, "--top-k", 0, "the")
    assert given(*once) == given(*once)
    stopped = json.loads(given(*said, "--grammar", grammar, "--stop", "tc", "--json", "the"))
    assert (stopped["text"], stopped["stopped_by"]) == ("ca", "tc")
    ends = ("-o", 'logit_bias={"2": 1000}', "-n", 3, "--json", "the")
    assert json.loads(given(*said, *ends))["tokens"] == []
    assert len(json.loads(given(*said, "-o", "ignore_eos=true", *ends))["tokens"]) == 3
    for option, words in (("dry=1", "'dry'"), ("xtc_probability=no", "a number, not 'no'")):
        done = run(*said, "-o", option, "the")
        assert done.returncode == 1
        assert words in done.stderr
        assert "Traceback" not in done.stderr


def test_chat_keeps_what_was_said(model_path: Path) -> None:
    said = ("chat", "-m", model_path, "-n", 16, "--temperature", 0, "-c", 512)
    assert given(*said, "Hello").startswith("Hello")
    assert given(*said, "-", stdin="Hello") == given(*said, "Hello")
    lines = "My name is Ada.\n\n/help\nWhat is my name?\n/clear\n{}\n/quit\nmore\n"
    answers = given(*said, "--json", "-s", "Be brief.", stdin=lines.format("Hi.")).splitlines()
    found = [json.loads(line) for line in answers if line.startswith("{")]
    assert "/clear" in "".join(answers)
    assert len(found) == 3
    first, second, third = (answer["usage"]["prompt_tokens"] for answer in found)
    assert second > first
    assert third < second


def test_the_commands_of_a_talk(tiny_path: Tiny, tmp_path: Path) -> None:
    saved, note, broken = tmp_path / "saved.json", tmp_path / "note.txt", tmp_path / "broken.json"
    note.write_text("the cat")
    broken.write_text('{"no": "list"}')
    lines = (
        "/stats", "/regen", "/system Be brief.", "/set temperature 0", "/set nope 1", "/set", "one",
        "/stats", f"/read {note}", "two", "/regen", f"/save {saved}", "/clear", "three",
        f"/load {saved}", "four", f"/load {broken}", "/load", "/read /nowhere", "/sistem x",
    )  # fmt: skip
    said = ("chat", tiny_path("llama"), "-n", 2, "-c", 512, "--json", "--template", "chatml")
    done = run(*said, stdin="\n".join(lines))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    errors = (
        "no answer yet", "no message yet", "'nope'", "give a name and a value",
        "saved conversation",
        "the name of a file", "/nowhere", "did you mean /system?",
    )  # fmt: skip
    wrong = [line for line in done.stderr.splitlines() if line]
    assert len(wrong) == len(errors)
    assert [word for word, line in zip(errors, wrong, strict=True) if word not in line] == []
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    prompts = [answer["usage"]["prompt_tokens"] for answer in found]
    one, two, again, three, four = prompts
    assert two == again > one
    assert four > two > three
    assert "of 512 tokens of room" in done.stdout
    messages = json.loads(saved.read_text())
    assert [message["role"] for message in messages[:3]] == ["system", "user", "assistant"]
    assert messages[3]["content"] == "the cat\n\ntwo"


def test_a_cut_off_answer_says_so(tiny_path: Tiny) -> None:
    done = run("chat", tiny_path("llama"), "-n", 1, "-c", 64, "--template", "chatml", "the")
    assert "[cut off:" in done.stderr


def test_chat_says_what_is_wrong_and_goes_on(tiny_path: Tiny) -> None:
    said = ("chat", "-m", tiny_path("llama"), "-n", 1, "-c", 64)
    done = run(*said, stdin="the " * 600 + "\nthe\n")
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert len([ln for ln in done.stderr.splitlines() if ln and "[cut off" not in ln]) == 1
    assert run(*said, "the " * 600).returncode == 1


def test_ctrl_c_ends_a_text_with_130(tiny_path: Tiny) -> None:
    endless = ("chat", "-m", tiny_path("mamba"), "--template", "chatml", "the")
    with started(*endless) as process:
        output(process, 10)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()


# -- numbers


def test_embed_gives_a_line_for_each_text(tiny_path: Tiny) -> None:
    said = ("embed", "-m", tiny_path("bert"))
    plain = given(*said, "the cat", "a mat").splitlines()
    rows = [
        json.loads(line) for line in given(*said, "--json", stdin="the cat\n\na mat\n").splitlines()
    ]
    assert [row["text"] for row in rows] == ["the cat", "a mat"]
    for line, row in zip(plain, rows, strict=True):
        assert [float(x) for x in line.split()] == pytest.approx(row["embedding"], abs=1e-5)
        assert sum(x * x for x in row["embedding"]) == pytest.approx(1, abs=1e-5)
    many = given(*said, stdin="the cat\n" * 70).splitlines()
    assert len(many) == 70
    assert given(*said, "--no-normalize", "the cat").split() != plain[0].split()


def test_tokenize_gives_numbers_and_pieces(model_path: Path) -> None:
    assert given("tokenize", "-m", model_path, "Hello, you") == (
        "19556\t'Hello'\n28\t','\n346\t' you'\n"
    )
    found = json.loads(given("tokenize", "-m", model_path, "--json", stdin="Hello"))
    assert found == [{"id": 19556, "piece": "Hello"}]
    special = ("tokenize", "-m", model_path, "--json", "<|im_start|>")
    assert json.loads(given(*special))[0]["id"] == 1
    plain = json.loads(given(*special, "--no-parse-special"))
    assert len(plain) > 1
    run = ("run", "-m", model_path, "--json", "-n", "1", "<|im_start|>")
    for more, n in ((), 1), (("--no-parse-special",), len(plain)):
        assert json.loads(given(*run, *more))["usage"]["prompt_tokens"] == n


def test_info_of_a_model(model_path: Path) -> None:
    facts = json.loads(given("info", "--json", model_path))
    assert facts["architecture"] == "llama"
    assert facts["parameters"] == 134_515_008
    assert (facts["context_length"], facts["layers"], facts["vocabulary"]) == (8192, 30, 49152)
    assert facts["quantization"] == "Q4_1"
    assert facts["special_tokens"]["bos"] == {"id": 1, "text": "<|im_start|>"}
    assert facts["metadata"]["general.license"] == "apache-2.0"
    shown = given("info", model_path)
    assert [line for line in shown.splitlines() if line != line.rstrip()] == []
    assert "134,515,008" in shown
    assert re.search(r"tokenizer.chat_template +\{%.*characters\)", shown)


def test_info_of_the_installation() -> None:
    facts = json.loads(given("info", "--json"))
    assert facts["bindings"] == _raw.TAG
    assert facts["abi_check"] == "passed"
    assert Path(facts["library"]).is_file()
    assert facts["devices"][-1]["type"] == "CPU"
    assert facts["devices"][-1]["memory_total"] > 0
    assert facts["library"] in given("info")


def test_bench_measures_prompt_and_generation(tiny_path: Tiny) -> None:
    said = ("bench", "-m", tiny_path("llama"), "-p", 40, "-n", 8, "-r", 3, "--threads", 1)
    facts = json.loads(given(*said, "--threads", 2, "--json"))
    assert facts["bindings"] == _raw.TAG
    assert [(r["work"], r["tokens"], r["threads"]) for r in facts["results"]] == [
        ("prompt", 40, 1), ("generation", 8, 1), ("prompt", 40, 2), ("generation", 8, 2),
    ]  # fmt: skip
    for result in facts["results"]:
        slow, middle, fast = sorted(result["rounds"])
        assert slow <= result["low"] <= result["tokens_per_second"] == middle
        assert middle <= result["high"] <= fast
        assert slow > 0
    assert facts["engine"] == _raw.TAG
    lines = given(*said, "-n", 0, "-r", 1).splitlines()
    assert f", llama.cpp {_raw.TAG}, " in lines[0]
    assert re.fullmatch(r"prompt of 40 +1 +([\d.]+) +\1 to \1", lines[-1].strip())
    assert len(lines) == 3
    assert run(*said, "-p", 0, "-n", 0).returncode == 2
    embedder = run("bench", "-m", tiny_path("bert"), "-p", 8, "-n", 0)
    assert (embedder.returncode, "Traceback" in embedder.stderr) == (1, False), embedder.stderr


# -- files, engines, servers


def test_quantize_writes_a_smaller_file(tiny_path: Tiny, tmp_path: Path) -> None:
    target = tmp_path / "small.gguf"
    shown = given("quantize", tiny_path("llama"), target, "Q8_0")
    assert re.fullmatch(rf"{target}: [\d.]+ MB \([\d.]+ MB before\)\n", shown)
    assert target.stat().st_size < tiny_path("llama").stat().st_size
    done = run("quantize", tiny_path("llama"), target, "Q99")
    assert done.returncode == 1
    assert "ftype: 'Q99' is not one of" in done.stderr


def test_quantize_counts_all_files_of_a_split_model(tiny_path: Tiny, tmp_path: Path) -> None:
    names = [f"m-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
    parts = tiny.split(tiny_path("llama"), tmp_path, names)
    shown = given("quantize", parts[0], tmp_path / "small.gguf", "Q8_0")
    size = sum(part.stat().st_size for part in parts)
    assert f"({size / 1e6:.1f} MB before)" in shown


def test_quantize_has_the_options_of_llama_quantize(tiny_path: Tiny, tmp_path: Path) -> None:
    words = ("--tensor-type", "attn_q=q8_0", "--override-kv", "general.name=str:other")
    words += ("--leave-output-tensor", "--token-embedding-type", "f16", "--max-buffer-size", "64")
    target = tmp_path / "small.gguf"
    given("quantize", *words, tiny_path("llama"), target, "Q4_0")
    file = GGUFFile(LlamaLibrary.default(), target)
    assert file.string("general.name") == "other"
    types = {name: tensor.type for name, tensor in file.tensors().items()}
    assert types["blk.0.attn_q.weight"] == _raw.GGML_TYPE_Q8_0
    assert types["token_embd.weight"] == _raw.GGML_TYPE_F16


def test_the_server_answers_until_ctrl_c(tiny_path: Tiny) -> None:
    said = ("server", "-m", tiny_path("llama"), "--json", "--ctx-size", 256, "--parallel=1")
    for way, code in ((signal.SIGINT, 130), (signal.SIGTERM, 130)):
        with started(*said) as process:
            where = json.loads(output(process, 30))
            request = Request(
                where["url"] + "/props", headers={"Authorization": f"Bearer {where['api_key']}"}
            )
            with urlopen(request, timeout=20) as answer:
                assert json.load(answer)["default_generation_settings"]["n_ctx"] == 256
            process.send_signal(way)
            assert process.wait(40) == code
        with pytest.raises(OSError, match="refused"):
            urlopen(request, timeout=5)


def test_options_of_the_server_can_be_repeated() -> None:
    words = ["-m", "m", "--lora", "a", "--jinja", "--lora=b", "--no-warmup", "--gpu-layers", "7"]
    params = server.make_context("server", words).params
    given = {name: params[name] for name in ("lora", "jinja", "gpu_layers", "metrics")}
    assert given == {"lora": ("a", "b"), "jinja": True, "gpu_layers": (7,), "metrics": None}


@pytest.mark.parametrize(
    ("words", "completions"),
    [("--flash", ["--flash-attn"]), ("--pooling m", ["mean"]), ("--no-war", ["--no-warmup"])],
)
def test_the_shell_completes_options_of_the_server(words: str, completions: list[str]) -> None:
    line = f"llama-py server {words}"
    asked = {"_LLAMA_PY_COMPLETE": "bash_complete", "COMP_WORDS": line}
    shown = given(env={**asked, "COMP_CWORD": str(len(line.split()) - 1)})
    assert [row.partition(",")[2] for row in shown.splitlines()] == completions


def test_engines_are_listed_and_found() -> None:
    engines = json.loads(given("engine", "list", "--json"))
    assert _raw.TAG in [engine["tag"] for engine in engines]
    assert f"* {_raw.TAG}" in re.sub(" +", " ", given("engine", "list"))
    assert given("engine", "where").strip() in [engine["folder"] for engine in engines]
    assert "already in" in given("engine", "install")


def test_the_engine_commands_pass_on_how_they_end(tmp_path: Path) -> None:
    env = {"XDG_CACHE_HOME": str(tmp_path)}
    assert given("engine", "list", "--json", env=env) == "[]\n"
    assert run("engine", "where", env=env).returncode == 1
    done = run("engine", "build", "--source", tmp_path / "none", env=env)
    assert (done.returncode, "not a llama.cpp source tree" in done.stderr) == (1, True)
    assert run("engine", "build", env=env).returncode == 2
    assert "--tag" in given("engine", "where", "--help")


def test_a_terminal_sees_that_a_command_of_a_talk_is_done(tiny_path: Tiny) -> None:
    terminal, end = pty.openpty()
    command = [*CLI, "chat", str(tiny_path("llama"))]
    lines = b"/set temperature 0\n/clear\n/?\n/bye\n/no-command\n"
    done = subprocess.run(command, input=lines, stdout=subprocess.PIPE, stderr=end, check=True)
    shown = os.read(terminal, 65536)
    assert b"temperature is 0." in shown
    assert b"The conversation is forgotten." in shown
    assert b"/set NAME VALUE" in done.stdout
    assert b"no-command" not in shown


def test_a_terminal_sees_where_the_layers_are(tiny_path: Tiny) -> None:
    terminal, end = pty.openpty()
    command = [*CLI, "run", "-m", str(tiny_path("llama")), "-n", "1", "the"]
    subprocess.run(command, stdin=subprocess.DEVNULL, stderr=end, stdout=end, check=True)
    assert re.search(rb"llama.*; 3 layers on CPU; n_ctx 512", os.read(terminal, 65536))


# -- models of the hub


def test_a_model_of_the_hub(tiny_path: Tiny, tmp_path: Path) -> None:
    with serve() as served:
        local = Hub(served, tmp_path / "hf")
        local.add("me/tiny", {"tiny-F32.gguf": tiny_path("llama").read_bytes()})
        for spec in ("hf:me/tiny", "hf:me/tiny/*F32.gguf"):
            found = given("tokenize", "-m", spec, "--json", "the cat", env=local.env)
            assert json.loads(found)
        done = run("info", "hf:me/tiny/*Q4.gguf", env=local.env)
    assert done.returncode == 1
    assert "nothing matches '*Q4.gguf'. There is: tiny-F32.gguf" in done.stderr


def test_models_of_the_caches(tiny_path: Tiny, library: LlamaLibrary, tmp_path: Path) -> None:
    own = tmp_path / "cache" / "llama-py" / "models"
    own.mkdir(parents=True)
    weights = tiny_path("llama").read_bytes()
    (own / "mine.gguf").write_bytes(weights)
    with serve() as served:
        local = Hub(served, tmp_path / "hf")
        env = {**local.env, "XDG_CACHE_HOME": str(tmp_path / "cache")}
        env["LLAMA_CPP_LIB"] = str(library.path)
        local.add("me/tiny", {"tiny-F32.gguf": weights, "README.md": b"#"})
        path = Path(given("pull", "hf:me/tiny:F32", env=env).strip())
        assert path.name == "tiny-F32.gguf"
    names = ["hf:me/tiny/tiny-F32.gguf", "mine.gguf"]
    assert re.findall(r"^\S+", given("models", env=env), re.M) == names
    for words in (["tiny-F32"], ["mine"], ["-m", names[1]], ["--no-special", names[0]]):
        assert json.loads(given("tokenize", "--json", *words, "the cat", env=env)), words
    in_the_environment = {**env, "LLAMA_MODEL": "mine"}
    assert given("tokenize", "the", env=in_the_environment) == given(
        "tokenize", "mine", "the", env=env
    )
    assert run("rm", "mine", "no-such", "-y", env=env).returncode == 1
    for word, name in {"TINY": names[0], "mime.gguf": names[1]}.items():
        assert f"no model {word}; did you mean {name}? Or" in run("info", word, env=env).stderr
    given("rm", "mine", names[0], "--yes", env=env)
    done = run("models", env=env)
    assert (done.stdout, "llama-py pull" in done.stderr) == ("", True)
    assert not path.exists()
    assert run("pull", "mine.gguf", env=env).returncode == 2


# -- how it ends


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run", "-m", "/nowhere/m.gguf", "x"], 1, "there is no model /nowhere/m.gguf"),
        (["run", "-m", str(ROOT / "README.md"), "x"], 1, "is not a GGUF file"),
        (["tokenize", "-m", "hf:one", "x"], 1, "hf:owner/repo/file.gguf"),
        (["run"], 2, "no MODEL: give a GGUF file"),
        (["list"], 2, "No such command 'list'. Did you mean 'models'?"),
        (["run", "x"], 1, "there is no model x: give a GGUF file"),
        (["run", "-m", "x", "--grammar", "/nowhere", "x"], 2, "No such file"),
        (["run", "-m", "x", "--temperature", "nan", "x"], 2, "'nan' is not a number"),
        (["run", "-m", "x", "-n", "0", "x"], 2, "0 is not in the range x>=1"),
        (["run", "-m", "x", "-o", "dry", "x"], 2, "--option dry is not NAME=VALUE"),
        (["rnu"], 2, "No such command 'rnu'. Did you mean 'run'?"),
        (["server", "-m", "x", "--ctx-siz", "12"], 2, "No such option '--ctx-siz'. (Did you mean"),
        (["server", "-m", "x", "--ctx-size", "q"], 2, "--ctx-size must be of type int, not 'q'"),
        (["server", "-m", "x", "--prio", "9"], 2, "--prio=9 is outside -1 to 3"),
        (["server", "-m", "x", "--timeout", "1"], 2, "No such option '--timeout'"),
        (["server", "-m", "x", "--lora", "a", "--lora"], 2, "'--lora' requires an argument"),
        (["quantize", "--prune-layers", "x", str(ROOT / "README.md"), "y"], 2, "as the help shows"),
        (["agent"], 2, "either --model or --url"),
        (["agent", "-m", "a", "--url", "b"], 2, "either --model or --url"),
        (["agent", "-m", "/nowhere/m.gguf", "Hello"], 1, "there is no model /nowhere/m.gguf"),
        (["agent", "--url", "http://127.0.0.1:1", "Hello"], 1, "127.0.0.1"),
        (["agent", "-m", "a", "-t", "/nowhere.py"], 2, "does not exist"),
        (["agent", "-m", "a", "-t", os.devnull], 2, "is not a Python file"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_a_line(arguments: list[str], code: int, words: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_help_names_every_command_and_the_exit_codes() -> None:
    shown = given("--help")
    for name in ("run", "chat", "agent", "embed", "tokenize", "info", "bench", "server"):
        assert re.search(rf"^  {name} ", shown, re.M)
        assert "Usage:" in given(name, "-h")
    assert "130 stopped by Ctrl-C" in shown
    assert "bash_source" in shown
    assert "_LLAMA_PY_COMPLETE" in given(env={"_LLAMA_PY_COMPLETE": "bash_source"})


# -- doctor


def findings(env: dict[str, str], *arguments: object) -> tuple[int, dict[str, Any]]:
    done = run("doctor", "--json", *arguments, env=env)
    assert done.stdout, done.stderr
    found: dict[str, Any] = {}
    for one in sorted(json.loads(done.stdout)["findings"], key=lambda f: f["status"] != "wrong"):
        found.setdefault(one["what"], one)
    return done.returncode, found


def test_the_doctor_finds_nothing_wrong(tiny_path: Tiny) -> None:
    done = run("doctor", "-m", tiny_path("llama"))
    assert done.returncode == 0, done.stdout
    assert "Nothing is wrong." in done.stdout
    assert re.search(r"^ok +model: .* loads and generates$", done.stdout, re.M)
    assert re.search(r"^ok +ABI check: ", done.stdout, re.M)


@pytest.mark.skipif(sys.platform != "linux", reason="the linker's search path")
def test_the_doctor_accepts_the_system_s_library(tiny_path: Tiny, tmp_path: Path) -> None:
    """Which the loader finds by its name."""
    path = given("engine", "where").strip()
    env = {"XDG_CACHE_HOME": str(tmp_path), "LD_LIBRARY_PATH": path}
    code, found = findings(env, "-m", tiny_path("llama"))
    assert found["library"]["text"].endswith(" (the system's)")
    assert (code, found["ABI check"]["status"], found["model"]["status"]) == (0, "ok", "ok")


def test_the_doctor_finds_that_there_is_no_engine(tmp_path: Path) -> None:
    code, found = findings({"XDG_CACHE_HOME": str(tmp_path), "LLAMA_CPP_LIB": str(tmp_path)})
    assert code == 1
    assert found["engine"]["status"] == "note"
    assert found["library"]["status"] == "wrong"
    assert "LLAMA_CPP_LIB" in found["library"]["text"]
    assert "llama-py engine install" in found["library"]["advice"]


def test_the_doctor_finds_an_engine_for_another_cpu(tmp_path: Path) -> None:
    installed = Path(given("engine", "where").strip())
    folder = tmp_path / "llama-py" / _raw.TAG / "engine"
    folder.mkdir(parents=True)
    manifest = json.loads((installed / "engine.json").read_text())
    manifest["cpu_features"].append("avx1024")
    (folder / "engine.json").write_text(json.dumps(manifest))
    code, found = findings({"XDG_CACHE_HOME": str(tmp_path)})
    assert (code, found["engine"]["status"]) == (1, "wrong")
    assert "this one lacks avx1024" in found["engine"]["text"]


@pytest.mark.parametrize(
    ("backend", "needed", "advice"),
    [
        ("vulkan", "", "GGML_VK_VISIBLE_DEVICES"),
        ("cuda", "libcuda.so.7", "install the graphics card's driver"),
        ("cuda", "libcublas.so.7", "install the toolkit that libcublas.so.7 belongs to"),
    ],
)
def test_the_doctor_finds_that_there_is_no_graphics_card(
    backend: str, needed: str, advice: str, tmp_path: Path
) -> None:
    """Nor, of cuda, a library of the driver or the toolkit, which the file with the backend
    needs."""
    installed = Path(given("engine", "where").strip())
    folder = tmp_path / "llama-py" / _raw.TAG / f"engine-{backend}"
    shutil.copytree(installed, folder, symlinks=True)
    manifest = json.loads((installed / "engine.json").read_text())
    assert manifest["backend"] is None
    (folder / "engine.json").write_text(json.dumps({**manifest, "backend": backend}))
    reason = ""
    if sys.platform != "linux":
        needed, advice = "", "install the graphics card's driver"
    if needed:
        library, plugin = tmp_path / needed, folder / "libggml-cuda.so"
        for target, others in ((library, []), (plugin, [library])):
            command = ["cc", "-shared", "-Wl,--no-as-needed", "-x", "c", "/dev/null", "-x", "none"]
            subprocess.run(
                [*command, *others, "-o", target, f"-Wl,-soname,{target.name}"], check=True
            )
        library.unlink()
        reason = f" ({needed}: cannot open shared object file: No such file or directory)"
    code, found = findings({"XDG_CACHE_HOME": str(tmp_path)})
    assert (code, found["devices"]["status"]) == (1, "wrong")
    text = f": the engine is for {backend}, which finds no device{reason}"
    assert found["devices"]["text"].endswith(text)
    assert advice in found["devices"]["advice"]
    if backend == "vulkan" and sys.platform == "linux":  # a companion's file: none is promised
        (folder / "engine.json").write_text(json.dumps(manifest))
        plugin = ["-o", folder / "libggml-vulkan.so", "-x", "c", "/dev/null"]
        subprocess.run(["cc", "-shared", *plugin], check=True)
        code, found = findings({"XDG_CACHE_HOME": str(tmp_path)})
        assert (found["devices"]["status"], found["devices"]["text"][-16:]) == (
            "note",
            "; none of vulkan",
        )


def test_the_doctor_finds_a_library_that_is_none_or_dies(tmp_path: Path) -> None:
    name = "libllama.dylib" if sys.platform == "darwin" else "libllama.so"
    (tmp_path / name).write_text("no library")
    code, found = findings({"LLAMA_CPP_LIB": str(tmp_path)})
    assert code == 1
    assert "named by LLAMA_CPP_LIB" in found["library"]["text"]
    assert "cannot be loaded as a library" in found["ABI check"]["text"]
    compiler = shutil.which("cc")
    assert compiler is not None
    source = tmp_path / "dies.c"
    source.write_text("__attribute__((constructor)) static void f(void) { __builtin_trap(); }")
    subprocess.run([compiler, "-shared", "-o", tmp_path / name, source], check=True, timeout=60)
    code, found = findings({"LLAMA_CPP_LIB": str(tmp_path)})
    assert code == 1
    assert re.search(r"ended: SIG(ILL|TRAP)", found["ABI check"]["text"])


def test_the_doctor_finds_another_package_of_the_same_name(tmp_path: Path) -> None:
    """llama-cpp-python in another folder of the path, known by its metadata or only by its name."""
    package, metadata = tmp_path / "llama_cpp", tmp_path / "llama_cpp_python-0.3.9.dist-info"
    package.mkdir()
    (package / "__init__.py").touch()
    env = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
    code, found = findings(env)
    assert (code, found["import name"]["status"]) == (1, "wrong")
    assert str(package) in found["import name"]["text"]
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: llama-cpp-python\nVersion: 0.3.9\n"
    )
    code, found = findings(env)
    assert code == 1
    assert "llama-cpp-python 0.3.9 is called llama_cpp, too" in found["import name"]["text"]
    assert "pip uninstall -y llama-cpp-python" in found["import name"]["advice"]


def test_the_doctor_sees_files_that_were_taken(tmp_path: Path) -> None:
    """llama-cpp-python was installed over this package, and then uninstalled."""
    package = tmp_path / "llama_cpp"
    shutil.copytree(ROOT / "llama_cpp", package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("__init__.py", "server/__init__.py"):
        (package / name).unlink()

    # Without the module site, which knows where this package is installed.
    path = os.pathsep.join([str(tmp_path), sysconfig.get_path("purelib")])

    def told(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-S", *CLI[1:], *arguments],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": path},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    done = told("doctor")
    assert re.search(r"^WRONG  import name: .*lacks files", done.stdout, re.M), done.stderr
    assert "pip uninstall -y llama-cpp-python libllama-py" in done.stdout
    done = told("info")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "llama-py: another package has replaced files of llama-py: llama-py doctor says more\n"
    )


def test_the_doctor_says_which_model_cannot_be_loaded(tiny_path: Tiny, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(tiny_path("llama").read_bytes()[:5000])
    code, found = findings({}, "-m", broken)
    assert (code, found["model"]["status"]) == (1, "wrong")
    assert "broken.gguf" in found["model"]["text"]


# -- Markdown in a terminal


@pytest.mark.parametrize(
    "done",
    [
        ["One.", "Two,\nstill two.", "three"],
        ["```python\na\n\nb\n```", "text"],
        ["~~~\n```\n\n~~~", "text"],
        ["1. a\n\n   more of a", "2. b"],
        ["# Title", "| a |\n|---|\n| 1 |", "```\nnot\n\nclosed"],
    ],
)
def test_markdown_is_split_between_its_blocks(done: list[str]) -> None:
    assert blocks("\n\n".join(done)) == (done[:-1], done[-1])


def test_a_terminal_shows_markdown_and_a_pipe_has_it_as_it_is(tmp_path: Path) -> None:
    code = (
        "from llama_cpp.cli._text import give_text\n"
        "class Answer(list): reasoning = 'hm'\n"
        "give_text(Answer(['', '**bo', 'ld**\\n\\nnext', ' \\x1b[2J']), False, False, [], True)\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("**bold**\n\nnext \n", "hm\n\n")  # click drops codes
    terminal, end = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "NO_COLOR": "1"}
    subprocess.run(command, cwd=ROOT, stdout=end, stderr=end, env=env, check=True)
    shown = os.read(terminal, 65536)
    assert b"\x1b[1mbold\x1b[0m" in shown
    assert b"**bold**" not in shown
    assert b"next \\x1b[2J" in shown


def test_keys_are_not_shown_where_markdown_is_drawn_anew() -> None:
    code = (
        "import fcntl, os, sys, termios\n"
        "os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        "from llama_cpp.cli._text import show_markdown\n"
        "def echo(): states.append(bool(termios.tcgetattr(0)[3] & termios.ECHO)); return 'text'\n"
        "states = []; echo(); show_markdown(echo() for _ in 'a'); echo()\n"
        "print(states, file=sys.stderr)\n"
    )
    _, end = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stdin=end, stdout=end, stderr=subprocess.PIPE,
        check=True,
    )  # fmt: skip
    assert done.stderr == b"[True, False, True]\n"


@pytest.mark.parametrize("columns", [20, 60])
def test_lines_on_a_terminal_end_between_words(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    random = Random(columns)
    words = ["abcdefgh"[: random.randint(1, 8)] * random.choice((1, 2)) for _ in range(99)]
    text = " ".join(words)
    shown, erased = "".join(wrapped(re.findall(".{1,7}", text))), re.compile(r"\x1b\[(\d+)D\x1b\[K")
    while found := erased.search(shown):
        shown = shown[: found.start() - int(found[1])] + shown[found.end() :]
    assert [line.rstrip() for line in shown.split("\n")] == textwrap.wrap(text, columns - 1)
    for long, most in (("x" * 200, columns - 1), ("猫" * 100, (columns - 1) // 2)):
        assert "".join(wrapped([long])).split("\n") == textwrap.wrap(long, most)


def test_a_terminal_shows_an_agents_answer_as_markdown() -> None:
    code = (
        "from llama_cpp.agent import TextDelta\n"
        "from llama_cpp.cli._agent import _answer\n"
        "class Agent:\n"
        "    def stream(self, message): yield from map(TextDelta, ['**bo', 'ld** ', message])\n"
        "for markdown in (True, False): _answer(Agent(), markdown, 'end')\n"
    )
    terminal, end = pty.openpty()
    env = {**os.environ, "TERM": "xterm"}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=end, env=env, check=True)
    shown = os.read(terminal, 65536)
    assert b"\x1b[1mbold\x1b[0m end" in shown
    assert b"**bold** end" in shown


@pytest.mark.parametrize(("value", "coloured"), [("", True), ("1", False)])
def test_no_color_in_the_environment_is_respected(value: str, coloured: bool) -> None:
    terminal, end = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "NO_COLOR": value}
    for arguments in (["rm", "no-such-model"], ["doctor"]):
        command = [sys.executable, "-m", "llama_cpp", *arguments]
        subprocess.run(command, cwd=ROOT, stdout=end, stderr=end, env=env, check=False)
        assert (b"\x1b[3" in os.read(terminal, 65536)) is coloured
