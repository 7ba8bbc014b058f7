"""A llama-server of one's own: ready when it is there, and gone when it is not needed."""

from __future__ import annotations

import gc
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llama_cpp import LlamaClient, LlamaServer
from llama_cpp.errors import (
    LlamaClosedError,
    LlamaEngineError,
    LlamaServerConnectionError,
    LlamaServerStartError,
)
from tests.support import tiny
from tests.support.faultserver import soon
from tests.support.python import ROOT, run_python
from tests.support.started import processes, program, warden

OPTIONS: dict[str, Any] = {"ctx_size": 256, "threads": 1, "parallel": 1}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make("llama", tmp_path_factory.mktemp("server"))


@pytest.fixture(scope="module")
def server(small: Path) -> Iterator[LlamaServer]:
    with LlamaServer(small, **OPTIONS) as server:
        yield server


def test_nothing_is_loaded_from_the_current_folder(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "evil.c").write_text(
        "#include <stdio.h>\n__attribute__((constructor)) static void run(void)"
        ' { fclose(fopen("loaded", "w")); }\n'
    )
    evil = ("libggml-blas.so", "libggml-base.so.0", "libllama.so.0")
    for name in evil:
        command = ["cc", "-shared", "-fPIC", "-o", name, f"-Wl,-soname,{name}", "evil.c"]
        subprocess.run(command, cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LD_LIBRARY_PATH", ":.")
    with pytest.raises(LlamaServerStartError, match=r"would load libggml-blas\.so from the curren"):
        LlamaServer(small, **OPTIONS)
    (tmp_path / "libggml-blas.so").unlink()
    with LlamaServer(small, **OPTIONS):
        assert not (tmp_path / "loaded").exists()


@pytest.mark.parametrize("key", [" secret", "secret\r\nX: y", "s\u00e9cret", 5, b"secret", "a,b"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(small: Path, key: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="api_key") as caught:
        LlamaServer(small, api_key=key, **OPTIONS)
    assert "cret" not in str(caught.value)
    if key != "a,b":
        with pytest.raises((TypeError, ValueError), match="api_key") as caught:
            LlamaClient("http://127.0.0.1:9", api_key=key)
        assert "cret" not in str(caught.value)


def ask(server: LlamaServer, path: str, body: object = None, key: str | None = None) -> Any:
    """The status, and the answer read as JSON."""
    connection = http.client.HTTPConnection(*server.base_url[7:].split(":"), timeout=60)
    try:
        connection.request(
            "GET" if body is None else "POST",
            path,
            None if body is None else json.dumps(body),
            server.headers if key is None else {"Authorization": f"Bearer {key}"},
        )
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


# -- ready


def test_it_answers_when_it_is_there(server: LlamaServer) -> None:
    assert server.running
    assert server.returncode is None
    status, answer = ask(server, "/completion", {"prompt": "a", "n_predict": 2, "seed": 1})
    assert status == 200
    assert answer["tokens_predicted"] == 2
    assert "listening on" in server.log.read_text()
    assert "listening on" in server.log_tail()
    assert repr(server) == f"<LlamaServer 'llama-0.gguf', {server.base_url}>"


def test_it_is_for_this_program_alone(server: LlamaServer, small: Path) -> None:
    assert server.base_url.startswith("http://127.0.0.1:")
    assert len(server.api_key) >= 32
    assert ask(server, "/props", key="wrong")[0] == 401
    assert len(processes(small)) == 2
    assert processes(server.api_key) == []
    assert server.api_key not in server.log.read_text()
    assert server.api_key not in repr(server)
    assert server.log.parent.stat().st_mode & 0o077 == 0


def test_a_port_and_a_key_can_be_chosen(small: Path, server: LlamaServer, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    with LlamaServer(small, api_key="open sesame", log=log, **OPTIONS) as other:
        assert ask(other, "/props", key="open sesame")[0] == 200
        assert other.base_url != server.base_url
    assert "listening on" in log.read_text()
    taken = int(server.base_url.rpartition(":")[2])
    with pytest.raises(LlamaServerStartError, match=f"port {taken} of .* cannot be used"):
        LlamaServer(small, port=taken, **OPTIONS)


def test_several_models_are_loaded_when_they_are_named(small: Path, tmp_path: Path) -> None:
    other = tiny.make("mamba", tmp_path)
    with LlamaServer({"one": small, "two": {"model": other, **OPTIONS}}, models_max=1) as router:
        assert repr(router).startswith("<LlamaServer 'one', 'two', ")
        for name in ("one", "two"):
            body = {"model": name, "prompt": "a", "n_predict": 1}
            assert ask(router, "/completion", body)[0] == 200
        _, models = ask(router, "/models")
        loaded = [m["id"] for m in models["data"] if m["status"]["value"] == "loaded"]
        assert loaded == ["two"]
    assert soon(lambda: processes(other) == [])


def test_it_hands_over_an_agent(server: LlamaServer) -> None:
    agent = server.agent(system="Be brief.", temperature=0, max_tokens=4)
    assert agent.client.base_url == server.base_url
    assert agent.system == "Be brief."
    assert agent.chat("hello")["usage"]["completion_tokens"] <= 4


# -- failures


def test_what_is_no_model_raises_with_the_log(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    with pytest.raises(FileNotFoundError, match=r"model\.gguf"):
        LlamaServer(file)
    file.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(LlamaServerStartError, match="failed to load model") as caught:
        LlamaServer(file)
    assert caught.value.returncode == 1
    assert "failed to load model" in caught.value.log
    assert soon(lambda: processes(file) == [])


def test_wrong_arguments_raise(small: Path) -> None:
    with pytest.raises(LlamaServerStartError, match="not a directory: /nowhere"):
        LlamaServer(small, slot_save_path="/nowhere")
    with pytest.raises(ValueError, match="model is an empty mapping"):
        LlamaServer({})
    with pytest.raises(ValueError, match="no entry 'model'"):
        LlamaServer({"a": {"ctx_size": 3}})
    with pytest.raises(ValueError, match="cannot be written to a preset"):
        LlamaServer({"a]\n[b": small})


def test_no_program_raises(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LlamaEngineError, match="no llama-server was found"):
        LlamaServer(small)


def test_one_that_takes_too_long_is_stopped(small: Path) -> None:
    with pytest.raises(LlamaServerStartError, match=r"not ready after 0\.001 seconds"):
        LlamaServer(small, timeout=0.001, alias="slow", **OPTIONS)
    assert soon(lambda: processes("slow") == [])


def test_one_that_was_killed_can_be_restarted(small: Path) -> None:
    with LlamaServer(small, alias="restarted", **OPTIONS) as server:
        address, key = server.base_url, server.api_key
        os.kill(program(server), signal.SIGKILL)
        assert soon(lambda: not server.running)
        assert server.returncode == 128 + signal.SIGKILL
        assert "not running" in repr(server)
        agent, client = server.agent(), server.client()
        with pytest.raises(LlamaServerConnectionError, match=r"has ended \(code 137\)"):
            agent.chat("Hello")
        with pytest.raises(LlamaServerConnectionError, match=r"has ended \(code 137\)"):
            client.complete("Hello")
        server.restart()
        assert (server.base_url, server.api_key) == (address, key)
        assert ask(server, "/props")[0] == 200
        assert client.props()["total_slots"] == 1
        server.restart()
        assert ask(server, "/props")[0] == 200


# -- gone


def test_nothing_is_left_after_close(small: Path) -> None:
    for _ in range(3):
        server = LlamaServer(small, alias="closed", **OPTIONS)
        folder = server.log.parent
        server.close()
        server.close()
        assert not server.running
        assert processes("closed") == []
        assert not folder.exists()
        with pytest.raises(OSError):  # noqa: PT011 (refused, or reset)
            ask(server, "/health")
    with pytest.raises(LlamaClosedError):
        server.restart()
    with pytest.raises(LlamaClosedError):
        server.agent()
    with pytest.raises(LlamaClosedError):
        server.client()
    assert server.pid is None


def test_it_ends_when_it_is_forgotten(small: Path) -> None:
    server = LlamaServer(small, alias="forgotten", **OPTIONS)
    assert len(processes("forgotten")) == 2
    del server
    gc.collect()
    assert processes("forgotten") == []


def test_it_ends_with_its_warden(small: Path) -> None:
    with LlamaServer(small, alias="unwatched", **OPTIONS) as server:
        os.kill(warden(server), signal.SIGKILL)
        assert soon(lambda: processes("unwatched") == [])
        assert soon(lambda: not server.running)


PROGRAM = """
import os, signal, sys, time
from llama_cpp import LlamaServer
server = LlamaServer(sys.argv[1], alias=sys.argv[2], ctx_size=256, threads=1)
print("ready", flush=True)
"""


@pytest.mark.parametrize("end", ["pass", "os.kill(os.getpid(), 9)", "raise SystemExit(3)", "1 / 0"])
def test_it_ends_with_python(small: Path, tmp_path: Path, end: str) -> None:
    # Python that was killed cannot remove the folder of the log.
    done = run_python(PROGRAM + end, small, "with-python", env={"TMPDIR": str(tmp_path)})
    assert "ready" in done.stdout, done.stderr
    assert soon(lambda: processes("with-python") == [])


def test_ctrl_c_while_it_loads_ends_it(small: Path) -> None:
    # The tiny model would be ready at once: a program that only says that it loads stands in.
    program = small.parent / "llama-server"
    program.write_text("#!/bin/sh\ntrap '' TERM\necho loading; sleep 60\n")
    program.chmod(0o755)
    code = (
        "import sys; from llama_cpp import LlamaServer\n"
        "LlamaServer(sys.argv[1], program=sys.argv[2], alias='interrupted', log=sys.argv[3])"
    )
    log = small.parent / "interrupted.txt"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(small), str(program), str(log)],
        cwd=ROOT, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert soon(lambda: log.exists() and "loading" in log.read_text())
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        assert "KeyboardInterrupt" in errors
        assert soon(lambda: processes("interrupted") == [])
    finally:
        process.kill()


def test_a_fork_does_not_end_it_and_does_not_keep_it(small: Path, tmp_path: Path) -> None:
    code = """
import time
child = os.fork()
if child == 0:
    if len(sys.argv) > 3:
        time.sleep(30)
    sys.exit(0)   # an ordinary end, with everything that runs then
if len(sys.argv) > 3:
    os.kill(os.getpid(), 9)
os.waitpid(child, 0)
print("still", server.running)
server.close()
"""
    done = run_python(PROGRAM + code, small, "forked")
    assert "still True" in done.stdout, done.stderr
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM + code, str(small), "kept", "sleep"],
        cwd=ROOT, stdout=subprocess.DEVNULL, env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    process.wait(30)
    copy = processes("time.sleep")
    assert len(copy) == 1
    assert soon(lambda: processes("kept") == copy)
    os.kill(copy[0], signal.SIGKILL)
