"""Models over ggml-rpc-servers: the same tokens, and errors where llama.cpp would abort."""

from __future__ import annotations

import logging
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from llama_cpp import Llama, LlamaContext, LlamaModel, LlamaRpcServer, LlamaSampler, devices
from llama_cpp.errors import (
    LlamaClosedError,
    LlamaEngineError,
    LlamaRpcError,
    LlamaServerStartError,
)
from llama_cpp.native.remote import probe, protocol
from tests.support.python import run_program

PROMPT = "hello world"


@pytest.fixture(scope="module")
def servers() -> Iterator[list[LlamaRpcServer]]:
    with (
        LlamaRpcServer(n_threads=1) as one,
        LlamaRpcServer(n_threads=1) as two,
        LlamaRpcServer(n_threads=1) as three,
    ):
        yield [one, two, three]


@pytest.fixture(scope="module")
def small(tiny_path: Callable[..., Path]) -> Path:
    return tiny_path("llama")


def endpoints(servers: list[LlamaRpcServer]) -> list[str]:
    return [server.endpoint for server in servers]


def generated(path: Path, n: int = 12, **loading: Any) -> list[int]:
    """Greedy tokens."""
    with (
        LlamaModel.from_file(path, **loading) as model,
        Llama(model, n_ctx=256, n_threads=1) as llm,
    ):
        return llm.complete(PROMPT, max_tokens=n, temperature=0).tokens


# -- results


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_tokens_are_those_of_one_machine(
    small: Path, servers: list[LlamaRpcServer], n: int
) -> None:
    assert generated(small, rpc_servers=endpoints(servers[:n])) == generated(small)


def test_a_real_model_over_two_servers(model_path: Path, servers: list[LlamaRpcServer]) -> None:
    assert generated(model_path, 6, rpc_servers=endpoints(servers[:2])) == generated(model_path, 6)


def test_every_server_gets_its_part(
    small: Path, servers: list[LlamaRpcServer], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "llama_cpp")

    def parts(**loading: Any) -> set[str]:
        caplog.clear()
        with LlamaModel.from_file(small, **loading) as model:
            assert sum(model.layers.values()) == model.n_layer + 1
            placed = {d.endpoint for d in devices() if d.name in model.layers} - {None}
        found = set(re.findall(r"RPC\d+\[(\S+)\] model buffer size", caplog.text))
        assert placed == found
        return found

    all_three = endpoints(servers)
    assert parts(rpc_servers=all_three) == set(all_three)
    assert parts(rpc_servers=all_three, tensor_split=[0, 1, 0]) == {all_three[1]}
    assert parts(rpc_servers=all_three, n_gpu_layers=0) == set()
    with LlamaModel.from_file(small, rpc_servers=all_three):
        third = [device for device in devices() if device.endpoint == all_three[2]]
    assert parts(devices=third) == {all_three[2]}
    assert parts() == set()


def test_devices_are_known_once_and_used_when_asked_for(
    small: Path, servers: list[LlamaRpcServer]
) -> None:
    given = endpoints(servers[:2])
    with (
        LlamaModel.from_file(small, rpc_servers=given),
        LlamaModel.from_file(small, rpc_servers=given[:1]),
    ):
        remote = [device for device in devices() if device.endpoint is not None]
    assert [device.endpoint for device in remote] == given
    assert all(device.endpoint is None for device in devices())
    assert remote[0].name.startswith("RPC")
    assert remote[0].memory_total > 1 << 30
    assert remote[0].endpoint is not None
    assert remote[0].endpoint in remote[0].buffer_type
    served = servers[0].log.read_text().count("Accepted")
    generated(small)
    assert servers[0].log.read_text().count("Accepted") == served


def test_state_goes_over_the_wire(
    small: Path, servers: list[LlamaRpcServer], tmp_path: Path
) -> None:
    def tokens(**loading: Any) -> list[int]:
        with LlamaModel.from_file(small, **loading) as model:
            chain = LlamaSampler.chain(model.library).greedy()
            found = []
            with LlamaContext(model, n_ctx=256, n_threads=1) as ctx:
                ctx.decode(model.tokenize(PROMPT))
                saved = ctx.to_bytes()
                found.append(chain.sample(ctx))
                ctx.decode((found[-1],))
                found.append(chain.sample(ctx))
                ctx.memory.seq_rm()
            with LlamaContext(model, n_ctx=256, n_threads=1) as ctx:
                ctx.restore(saved)
                ctx.decode((found[0],))
                found.append(chain.sample(ctx))
        return found

    assert tokens(rpc_servers=endpoints(servers[:2])) == tokens()


def test_two_models_and_two_threads_share_a_server(
    small: Path, servers: list[LlamaRpcServer]
) -> None:
    expected = generated(small)
    found: list[list[int]] = []

    def work() -> None:
        found.append(generated(small, rpc_servers=[servers[0].endpoint]))

    with LlamaModel.from_file(small, rpc_servers=[servers[0].endpoint]):
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert found == [expected, expected]


def test_what_is_freed_on_a_server_ends_no_other_generation(
    small: Path, servers: list[LlamaRpcServer]
) -> None:
    with (
        LlamaModel.from_file(small, rpc_servers=[servers[0].endpoint]) as model,
        Llama(model, n_ctx=256, n_threads=1) as llm,
        Llama(model, n_ctx=256, n_threads=1) as other,
    ):
        tokens = llm.generate(PROMPT, max_tokens=12, temperature=0)
        for i, _ in enumerate(tokens):
            Llama(model, n_ctx=64).close()  # the server forgets the graphs of all
            if i % 2:
                other.complete(PROMPT, max_tokens=2)
    assert tokens.tokens == generated(small)


def test_two_threads_load_on_one_server_at_the_same_time(small: Path) -> None:
    """The second would find the server busy: with the first."""
    models: list[LlamaModel] = []
    errors: list[Exception] = []
    with LlamaRpcServer(n_threads=1) as server:

        def load() -> None:
            try:
                models.append(LlamaModel.from_file(small, rpc_servers=[server.endpoint]))
            except LlamaRpcError as error:
                errors.append(error)

        second = threading.Thread(target=load)

        def progress(_: float) -> None:
            if second.ident is None:
                second.start()
                time.sleep(0.5)  # until it waits

        first = LlamaModel.from_file(small, rpc_servers=[server.endpoint], progress=progress)
        second.join(60)
        assert (len(models), errors) == (1, [])
        for model in (first, *models):
            model.close()


# -- wrong servers


@contextmanager
def answering(*answers: bytes | None) -> Iterator[str]:
    """The address of something that takes one connection, and gives an answer to all it gets; None
    is silence."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)  # for a test that fails before it connects

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                for answer in answers:
                    connection.recv(4096)
                    if answer is None:
                        done.wait(30)
                        return
                    connection.sendall(answer)

        done = threading.Event()
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            done.set()
            thread.join()


def hello(major: int, minor: int) -> bytes:
    return struct.pack("<Q3B25x", 28, major, minor, 0)


MAJOR, MINOR = protocol()
NONE = struct.pack("<QI", 4, 0)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([hello(MAJOR - 1, 9)], rf"speaks version {MAJOR - 1}\.9\.0 .* speaks {MAJOR}\.{MINOR}:"),
        ([hello(MAJOR, MINOR + 1)], rf"speaks version {MAJOR}\.{MINOR + 1}\.0 "),
        ([b""], "it is something else"),
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], "it is something else"),
        ([hello(MAJOR, MINOR), NONE], "has no devices"),
    ],
)
def test_a_server_of_another_kind_or_version_is_refused(
    small: Path, answers: list[bytes], said: str
) -> None:
    with answering(*answers) as endpoint, pytest.raises(LlamaRpcError, match=said) as caught:
        LlamaModel.from_file(small, rpc_servers=[endpoint])
    assert caught.value.endpoint == endpoint


def test_a_silent_server_and_a_busy_one_are_not_waited_for(servers: list[LlamaRpcServer]) -> None:
    with answering(None) as endpoint, pytest.raises(LlamaRpcError, match=r"within 0\.2 s"):
        probe(endpoint, 0.2)
    host, port = servers[0].endpoint.split(":")
    with socket.create_connection((host, int(port))), pytest.raises(LlamaRpcError) as caught:
        probe(servers[0].endpoint, 0.2)
    assert "it serves one program at a time" in str(caught.value)


def test_a_missing_server_is_an_error_and_nothing_else(
    small: Path, servers: list[LlamaRpcServer]
) -> None:
    with (
        LlamaRpcServer(n_threads=1) as gone,
        LlamaModel.from_file(small, rpc_servers=[gone.endpoint]),
    ):
        (device,) = (d for d in devices() if d.endpoint == gone.endpoint)
    for given in ([gone.endpoint], [servers[0].endpoint, gone.endpoint]):
        with pytest.raises(LlamaRpcError, match="cannot be reached") as caught:
            LlamaModel.from_file(small, rpc_servers=given)
        assert caught.value.endpoint == gone.endpoint
    with pytest.raises(LlamaRpcError, match="cannot be reached"):
        _ = device.memory_free
    assert "RPC" in repr(device)
    assert generated(small, 3) == generated(small, 3, rpc_servers=[servers[0].endpoint])
    gone.close()


def test_addresses(small: Path, servers: list[LlamaRpcServer]) -> None:
    port = servers[0].endpoint.split(":")[1]
    for wrong in ("host", ":1", "host:", "host:0", "host:65536", "host:one", "::1:50052"):
        with pytest.raises(ValueError, match="expected 'host:port'"):
            LlamaModel.from_file(small, rpc_servers=[wrong])
    with pytest.raises(ValueError, match="twice"):
        LlamaModel.from_file(small, rpc_servers=[f"localhost:{port}", f"127.0.0.1:{port}"])
    for wrong_type in ("127.0.0.1:1", 7, [7]):
        with pytest.raises(TypeError, match="host:port"):
            LlamaModel.from_file(small, rpc_servers=wrong_type)  # type: ignore[arg-type]
    with pytest.raises(LlamaRpcError, match="no-such-host"):
        LlamaModel.from_file(small, rpc_servers=["no-such-host.invalid:1"])
    assert generated(small, 3, rpc_servers=[f"localhost:{port}"]) == generated(small, 3)
    assert generated(small, 3, rpc_servers=[]) == generated(small, 3)


# -- servers that are lost


def lost(small: Path, case: str, *code: str) -> list[str]:
    """The output of a case of the program, which must succeed without other output."""
    done = run_program("rpc_servers_are_lost", small, case, *code)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_a_server_that_dies_in_mid_generation_is_an_error(small: Path) -> None:
    said, closed, over, here = lost(small, "during_a_generation")
    assert said.startswith("an RPC server was lost (Remote RPC server crashed")
    assert closed == "True True True"
    assert over == "LlamaClosedError LlamaRpcError"
    assert here == "done LlamaRpcError"


def test_connections_break_when_the_machine_does_not_answer(small: Path) -> None:
    """Whether they do: `make checks NAME=hosts`. Here the server only stands still."""
    assert lost(small, "stands_still") == ["False", "True True"]


def test_ctrl_c_twice_gives_a_silent_server_up(small: Path) -> None:
    said, after = lost(small, "given_up")
    assert said.startswith("an RPC server was lost (given up by Ctrl-C)")
    assert after == "True True LlamaClosedError done"


@pytest.mark.parametrize(
    "use",
    [
        "attempt(LlamaContext, model, n_ctx=256)",
        "attempt(ctx.restore, state)",
        "attempt(ctx.to_bytes)",
        "attempt(ctx.memory.clear)",
    ],
)
def test_whatever_finds_it_lost(small: Path, use: str) -> None:
    assert lost(small, "used", use) == ["LlamaRpcError done"]


def test_a_thread_that_waits_for_a_lost_server_gets_an_error(small: Path) -> None:
    """A thread that loads on another server, and one that computes, while a load loses its own."""
    assert lost(small, "waited_for") == ["LlamaRpcError", "['LlamaRpcError', 'LlamaRpcError']"]


@pytest.mark.parametrize("how", ["ctx.close(); model.close()", "pass"])
def test_models_on_a_lost_server_close_quietly(small: Path, how: str) -> None:
    assert lost(small, "closed", how) == ["done"]


# -- LlamaRpcServer


def test_it_speaks_the_version_that_the_package_knows(servers: list[LlamaRpcServer]) -> None:
    assert probe(servers[0].endpoint)[:2] == protocol()


def test_its_life() -> None:
    with LlamaRpcServer(n_threads=1, devices=["CPU"]) as server:
        endpoint = server.endpoint
        assert re.fullmatch(r"127\.0\.0\.1:\d+", endpoint)
        assert server.running
        assert repr(server) == f"<LlamaRpcServer {endpoint}>"
        with pytest.raises(LlamaServerStartError, match="cannot be used"):
            LlamaRpcServer(port=int(endpoint.split(":")[1]))
        server.restart()
        assert server.endpoint == endpoint
        probe(endpoint)
    assert not server.running
    assert repr(server) == "<LlamaRpcServer not running>"
    with pytest.raises(LlamaClosedError):
        server.restart()


def test_what_it_cannot_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="IPv4"):
        LlamaRpcServer(host="localhost")
    with pytest.raises(ValueError, match="n_threads"):
        LlamaRpcServer(n_threads=0)
    with pytest.raises(TypeError, match="n_threads must be an integer"):
        LlamaRpcServer(n_threads="2")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected a str, not LlamaDevice"):
        LlamaRpcServer(devices=devices())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="devices"):
        LlamaRpcServer(devices="CPU")
    with pytest.raises(LlamaServerStartError, match="unknown device: NPU7"):
        LlamaRpcServer(devices=["NPU7"])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LlamaEngineError, match="no ggml-rpc-server"):
        LlamaRpcServer()
