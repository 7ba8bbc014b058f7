"""Agents on three llama-servers behind HAProxy, with the configuration in examples: ``make proxy``.

Each answer is one that only its question allows. A server is killed while it works, and comes back.
"""

from __future__ import annotations

import csv
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from llama_cpp import LlamaAgent, LlamaServer, LlamaServerError
from llama_cpp.agent.events import TextDelta
from llama_cpp.errors import LlamaStreamError
from llama_cpp.server.process import reserve
from tests.support import tiny
from tests.support.python import ROOT
from tests.support.started import program

CONFIG = ROOT / "examples" / "haproxy.cfg"
NAMES = ("one", "two", "three")
KEY = "the-key-of-all-three"
CLIENTS = 24
WORDS = 150  # in an answer, so that it takes a while
SLOTS = 4


class Farm:
    """Three servers, the proxy in front of them, and the proxy's statistics."""

    def __init__(self, url: str, servers: dict[str, LlamaServer], control: Path) -> None:
        self.url, self.servers, self._control = url, servers, control

    def agent(self, **options: Any) -> LlamaAgent:
        """An agent that does not try again by itself: the proxy has to."""
        return LlamaAgent(self.url, api_key=KEY, **{"retries": 0, **options})

    def state(self) -> dict[str, dict[str, str]]:
        """The proxy's statistics by server."""
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(str(self._control))
            control.sendall(b"show stat\n")
            text = b"".join(iter(lambda: control.recv(65536), b"")).decode()
        rows = csv.DictReader(text.removeprefix("# ").splitlines())
        return {row["svname"]: row for row in rows if row["pxname"] == "servers"}

    def busy(self, name: str) -> int:
        """How many slots of a server are at work."""
        with self.servers[name].agent(retries=0) as agent:
            return sum(slot["is_processing"] for slot in agent.client.slots())

    def kill(self, name: str) -> None:
        """Without a warning."""
        os.kill(program(self.servers[name]), signal.SIGKILL)


def main() -> int:
    if shutil.which("haproxy") is None:
        print("HAProxy is not installed: apt-get install haproxy", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="llama-py-") as folder, running(Path(folder)) as farm:
        for part in (spread, streamed, killed, stream_killed, back_again):
            begun = time.monotonic()
            said = part(farm)
            print(f"{part.__name__:14} {said} ({time.monotonic() - begun:.1f} s)", flush=True)
    return 0


@contextmanager
def running(folder: Path) -> Iterator[Farm]:
    model = tiny.make("llama", folder)
    control = folder / "control"
    extra = folder / "control.cfg"
    extra.write_text(f"global\n    stats socket {control}\n")
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(
                LlamaServer(
                    model, api_key=KEY, alias=f"alias-{name}", parallel=SLOTS, threads=1,
                    ctx_size=SLOTS * 8192, override_kv="llama.context_length=int:8192",
                )
            )
            for name in NAMES
        }  # fmt: skip
        address = f"127.0.0.1:{reserve('127.0.0.1', 0)}"
        places = {
            f"LLAMA_{name.upper()}": server.base_url.removeprefix("http://")
            for name, server in servers.items()
        }
        proxy = subprocess.Popen(
            ["haproxy", "-db", "-f", CONFIG, "-f", extra],
            env={**os.environ, **places, "LLAMA_PROXY": address},
            stderr=subprocess.DEVNULL,
        )
        stack.callback(proxy.wait, 30)
        stack.callback(proxy.kill)
        farm = Farm(f"http://{address}", servers, control)
        with farm.agent() as agent:
            soon(agent.client.health, "the proxy is up")
        yield farm


# -- tests


def spread(farm: Farm) -> str:
    """Every server gets its part."""
    before = answered(farm)
    answers = ask_all(farm)
    check(not answers.failed, f"all arrive: {answers.failed}")
    shares = [after - begun for after, begun in zip(answered(farm), before, strict=True)]
    check(min(shares) >= CLIENTS // 6, f"every server works: {shares}")
    return f"{CLIENTS} answers, {shares} of them by each server"


def streamed(farm: Farm) -> str:
    """Text arrives while the server works; closing a stream stops the server's work."""
    with farm.agent() as agent:
        events = agent.stream("once", max_tokens=8000, ignore_eos=True)
        first = next(events)
        check(isinstance(first, TextDelta), "text comes first")
        check(sum(map(farm.busy, NAMES)) == 1, "it comes before the end")
        events.close()  # type: ignore[attr-defined]
        soon(lambda: sum(map(farm.busy, NAMES)) == 0, "the server stops")
    return "text came at once, and closing stopped the server"


def killed(farm: Farm) -> str:
    """A server dies at work: nobody notices."""
    at_work = 0

    def kill() -> None:
        nonlocal at_work
        soon(lambda: farm.busy("two") >= 2, "server two works")
        at_work = farm.busy("two")
        farm.kill("two")

    answers = ask_all(farm, meanwhile=kill)
    check(not answers.failed, f"all arrive: {answers.failed}")
    again = int(farm.state()["BACKEND"]["wredis"])
    check(again > 0, "the proxy asked another server")
    soon(lambda: farm.state()["two"]["status"] == "DOWN", "the proxy knows it")
    return f"killed with {at_work} answers at work: all {CLIENTS} came, {again} from another server"


def stream_killed(farm: Farm) -> str:
    """Of streams that broke, the next try arrives."""
    broken = 0

    def ask(agent: LlamaAgent, word: str) -> str:
        nonlocal broken
        for _ in range(3):
            try:
                return agent.run(word, **saying(word)).text
            except (LlamaStreamError, LlamaServerError):
                broken += 1
        return ""

    def kill() -> None:
        soon(lambda: farm.busy("three") >= 2, "server three works")
        farm.kill("three")

    answers = ask_all(farm, ask, meanwhile=kill)
    check(not answers.failed, f"all arrive: {answers.failed}")
    check(broken > 0, "streams broke")
    return f"{broken} streams broke, all {CLIENTS} arrived"


def back_again(farm: Farm) -> str:
    """Servers that are started again are used again."""
    for name in ("two", "three"):
        farm.servers[name].restart()
        soon(lambda name=name: farm.state()[name]["status"] == "UP", f"{name} is up")
    return spread(farm)


# -- helpers


class Answers:
    """The received answers."""

    def __init__(self) -> None:
        self.failed: list[str] = []


def saying(word: str) -> Any:
    return {"grammar": f'root ::= "{word} "{{{WORDS}}}', "max_tokens": 4000}


def chat(agent: LlamaAgent, word: str) -> str:
    return str(agent.chat(word, **saying(word))["choices"][0]["message"]["content"])


def ask_all(
    farm: Farm,
    ask: Callable[[LlamaAgent, str], str] = chat,
    *,
    meanwhile: Callable[[], None] = lambda: None,
) -> Answers:
    """Every client asks for its own answer, all at once."""
    answers = Answers()

    def client(i: int) -> None:
        word = f"word{i}"
        try:
            with farm.agent() as agent:
                text = ask(agent, word)
            if text.split() != [word] * WORDS:
                answers.failed.append(f"{word}: {len(text.split())} words, {text[-30:]!r}")
        except Exception as error:
            answers.failed.append(f"{word}: {error!r}")

    threads = [threading.Thread(target=client, args=(i,)) for i in range(CLIENTS)]
    for thread in threads:
        thread.start()
    meanwhile()
    for thread in threads:
        thread.join(300)
    return answers


def answered(farm: Farm) -> list[int]:
    state = farm.state()
    return [int(state[name]["hrsp_2xx"]) for name in NAMES]


def soon(true: Callable[[], bool], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            if true():
                return
        except (OSError, LlamaServerError):
            pass
        check(time.monotonic() < end, what)
        time.sleep(0.02)


def check(true: bool, what: str) -> None:
    if not true:
        raise SystemExit(f"not so: {what}")


if __name__ == "__main__":
    sys.exit(main())
