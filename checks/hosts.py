"""A model over RPC servers on machines of their own, made of network namespaces: ``make hosts``.

Each "machine" is a namespace behind a bridge, as root of a user namespace, so no rights are needed
and nothing stays. The tokens must be those of this machine. Then machines are missing, refuse, end
or fall silent, which loopback cannot show: each must be an error that says so, within a minute.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from llama_cpp import Llama, LlamaModel
from llama_cpp.errors import LlamaRpcError
from llama_cpp.native.remote import probe
from llama_cpp.server.process import find_program
from llama_cpp.server.warden import dies_with_us
from tests.support import tiny
from tests.support.python import ROOT

HERE = "192.0.2.1"  # of a network that is for documentation
PORT = 50052
INSIDE = "--inside"
TEXT = 200  # tokens
PROMPT = "hello world"


class Host:
    """A machine with a ggml-rpc-server."""

    def __init__(self, number: int) -> None:
        self.address = f"192.0.2.{10 + number}"
        self.endpoint = f"{self.address}:{PORT}"
        self._link = f"host{number}"
        server = (find_program("ggml-rpc-server"), "--host", self.address, "--port", str(PORT))
        # It waits for its network.
        self._process = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", 'read _; exec "$@"', "sh", *server, "--threads", "1"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=dies_with_us(),
        )  # fmt: skip
        pid = str(self._process.pid)
        soon(lambda: namespace(pid) != namespace("self"), "a namespace")
        run("ip", "link", "add", self._link, "type", "veth", "peer", "eth0", "netns", pid)
        run("ip", "link", "set", self._link, "master", "hosts", "up")
        for command in (f"addr add {self.address}/24 dev eth0", "link set eth0 up"):
            run("nsenter", "--target", pid, "--net", "ip", *command.split())
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        soon(self._answers, f"a server on {self.address}")

    def _answers(self) -> bool:
        with contextlib.suppress(LlamaRpcError):
            probe(self.endpoint)
            return True
        return False

    def kill(self) -> None:
        """End the server; the machine stays."""
        self._process.kill()
        self._process.wait()

    def stop(self, seconds: float) -> None:
        """Have the server stand still for so long, as one that computes."""
        self._process.send_signal(signal.SIGSTOP)
        threading.Timer(seconds, self._process.send_signal, (signal.SIGCONT,)).start()

    def unplug(self) -> None:
        """Take the machine off the network: it says nothing any more."""
        run("ip", "link", "set", self._link, "down")


def main() -> int:
    if sys.argv[1:] != [INSIDE]:
        missing = [name for name in ("unshare", "nsenter", "ip") if shutil.which(name) is None]
        if missing:
            print(f"needs {', '.join(missing)} (Linux: util-linux, iproute2)", file=sys.stderr)
            return 2
        command = ("unshare", "--user", "--map-root-user", "--net")
        os.execvp("unshare", [*command, sys.executable, "-m", "checks.hosts", INSIDE])
    for settings in (
        "link set lo up",
        "link add hosts type bridge",
        f"addr add {HERE}/24 dev hosts",
        "link set hosts up",
    ):
        run("ip", *settings.split())
    with tempfile.TemporaryDirectory(prefix="llama-py-") as folder:
        model = tiny.make("llama", Path(folder))
        bad = tokens(model)
        for number, (name, (fault, expected)) in enumerate(FAULTS.items(), start=10):
            said, seconds = in_a_process(lambda: fault(model, Host(number)))  # noqa: B023
            good = expected in said and seconds < 80
            bad += not good
            print(f"{name:44} {seconds:5.1f} s  {'' if good else 'WRONG: '}{said}", flush=True)
    return 1 if bad else 0


# -- results


def tokens(model: Path) -> int:
    """A row for each number of machines; how many were wrong."""
    bad = 0
    local: list[int] = []
    hosts = [Host(number) for number in range(1, 4)]
    for n in range(len(hosts) + 1):
        servers = [host.endpoint for host in hosts[:n]]
        with Llama(model, rpc_servers=servers, n_ctx=512, n_threads=1) as llm:
            done = llm.complete(PROMPT, max_tokens=TEXT, temperature=0)
        local = local or done.tokens
        same = done.tokens == local and len(local) == TEXT
        bad += not same
        said = "the same tokens" if same else "WRONG: other tokens"
        print(f"{n} machines: {done.timings.tokens_per_second:7.0f} tokens/s  {said}", flush=True)
    for host in hosts:
        host.kill()
    return bad


# -- faults: each function returns the final message


def refused(model: Path, host: Host) -> str:
    host.kill()
    return load(model, host)


def killed_host(model: Path, host: Host) -> str:
    return generate(model, host, host.kill)


def unplugged_before(model: Path, host: Host) -> str:
    host.unplug()
    return load(model, host)


def unplugged_while_loading(model: Path, host: Host) -> str:
    threading.Timer(0.01, host.unplug).start()
    return generate(model, host, lambda: None)


def busy(model: Path, host: Host) -> str:
    """In the middle of a model that is more than the system holds for it."""
    del model
    begun = threading.Event()

    def progress(done: float) -> None:
        if done > 0.3 and not begun.is_set():
            begun.set()
            host.stop(45)

    fetch = ROOT / "examples" / "fetch_model.py"
    large = subprocess.check_output([sys.executable, fetch], text=True).strip()
    with (
        LlamaModel.from_file(large, rpc_servers=[host.endpoint], progress=progress) as loaded,
        Llama(loaded, n_ctx=64, n_threads=1) as llm,
    ):
        done = llm.complete("The capital of France is", max_tokens=1, temperature=0)
    return f"loaded {'with a rest' if begun.is_set() else 'without'}:{done.text}"


def unplugged(model: Path, host: Host) -> str:
    return generate(model, host, host.unplug)


def given_up(model: Path, host: Host) -> str:
    def unplug() -> None:
        host.unplug()
        for seconds in (1, 2):
            threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)).start()

    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return generate(model, host, unplug)
    except KeyboardInterrupt as error:
        return f"KeyboardInterrupt, {error.__context__}"


FAULTS: dict[str, tuple[Callable[[Path, Host], str], str]] = {
    "no server on the machine": (refused, "refused"),
    "no machine": (unplugged_before, "cannot be reached"),
    "the server is killed while it generates": (killed_host, "was lost"),
    "the machine goes away at the load's beginning": (unplugged_while_loading, "RPC server"),
    "the server is busy for 45 s of the load": (busy, "loaded with a rest: Paris"),
    "the machine goes away while it generates": (unplugged, "was lost"),
    "the same, and Ctrl-C twice": (given_up, "KeyboardInterrupt, an RPC server was lost"),
}


def load(model: Path, host: Host) -> str:
    try:
        LlamaModel.from_file(model, rpc_servers=[host.endpoint])
    except LlamaRpcError as error:
        return str(error)
    return "nothing"


def generate(model: Path, host: Host, then: Callable[[], None]) -> str:
    try:
        with Llama(model, rpc_servers=[host.endpoint], n_ctx=512, n_threads=1) as llm:
            for i, _ in enumerate(llm.generate(PROMPT, max_tokens=TEXT, temperature=0)):
                if i == 5:
                    then()
    except LlamaRpcError as error:
        return str(error)
    return "nothing"


def in_a_process(fault: Callable[[], str]) -> tuple[str, float]:
    """Its result and the seconds, in a new process, because RPC no longer works afterwards."""
    reading, writing = os.pipe()
    begun = time.monotonic()
    child = os.fork()
    if not child:
        os.close(reading)
        try:
            said = fault()
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        finally:
            os.write(writing, said.encode())
            os._exit(0)
    os.close(writing)
    late = threading.Timer(90, os.kill, (child, signal.SIGKILL))
    late.start()
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    late.cancel()
    return text if status == 0 else f"ended with {status}", time.monotonic() - begun


# -- helpers


def run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def namespace(pid: str) -> str:
    return str(Path(f"/proc/{pid}/ns/net").readlink())


def soon(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 30
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"there was no {what}")
        time.sleep(0.05)


if __name__ == "__main__":
    raise SystemExit(main())
