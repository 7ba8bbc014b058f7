"""``llama-py agent``, as a user runs it. The other commands: test_cli_commands.py."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from llama_cpp import LlamaServer
from llama_cpp.cli import main as main_group
from tests.support import command
from tests.support.faultserver import called, chat, error, fault_server
from tests.support.python import ROOT

TOOLS = '''
from dataclasses import dataclass

@dataclass
class Report:
    city: str

def get_current_weather(city: str) -> str:
    """Get the current weather.

    Args:
        city: the city
    """
    return f"22 degrees and sunny in {city}"

def _hidden() -> None: ...
'''


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    file = tmp_path / "weather_tools.py"
    file.write_text(TOOLS)
    return file


@pytest.fixture(scope="module")
def server(model_path: Path) -> Iterator[LlamaServer]:
    with LlamaServer(model_path, ctx_size=1024, parallel=1) as server:
        yield server


def run(
    *arguments: object, server: LlamaServer | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    key = {} if server is None else {"LLAMA_API_KEY": server.api_key}
    at = () if server is None else ("--url", server.base_url)
    return command.run("agent", *at, *arguments, stdin=stdin, env=key)


ATTACK = "\x1b]52;c;eA==\x07\x9b2J\u202edaer\x08\r"


@pytest.mark.quick
@pytest.mark.parametrize("ask", [[], ["--ask"]])
def test_nothing_from_outside_moves_the_terminal(
    ask: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", sys.path[:])  # the tools' folder is added
    tools = tmp_path / "tools.py"
    tools.write_text(f"def look(path: str) -> str:\n    'Look.'\n    return {ATTACK!r}\n")
    calls = [called("look", json.dumps({"path": ATTACK})), called(f"x{ATTACK}\ny", "{}", 1)]
    answers = chat(ATTACK, "tool_calls", calls), chat(f"done {ATTACK}"), error(400, ATTACK)
    with fault_server(*answers, native=True) as server:
        options = ["agent", "--url", server.url, "-t", str(tools), *ask]
        done = CliRunner().invoke(main_group, options, input="Hi\ny\nn\nHi\n/tools\n", color=True)
    assert "done " in done.output
    assert "look(path='\\x1b]52" in done.output
    own = re.sub(r"\x1b\[\d+m", "", done.output)  # the command's colours
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", own)


@pytest.mark.quick
def test_a_run_without_an_answer_fails(tmp_path: Path) -> None:
    tools = tmp_path / "tools.py"
    tools.write_text("def look() -> str:\n    return ''\n")
    with fault_server(chat("", "tool_calls", [called("look", "{}")]), native=True) as server:
        at = ["agent", "--url", server.url, "-t", str(tools), "--max-steps", "2", "Hi"]
        done = command.run(*at)
    assert done.returncode == 1
    assert "no answer after 2 replies (max_steps)" in done.stderr


def test_a_cut_off_answer_says_so() -> None:
    with fault_server(chat("One, two", "length"), native=True) as server:
        done = command.run("agent", "--url", server.url, "Count.")
    assert (done.returncode, done.stdout) == (0, "One, two\n")
    assert "[cut off: " in done.stderr


def test_a_message_is_answered_by_a_server_of_its_own(model_path: Path) -> None:
    done = run("-m", model_path, "-c", 512, "--temperature", 0, "Say hello.")
    assert done.returncode == 0, done.stderr
    assert "ello" in done.stdout


def test_a_tool_from_a_file_is_called_and_shown(server: LlamaServer, tools: Path) -> None:
    done = run("-t", tools, "--temperature", 0, "What is the weather in Paris?", server=server)
    assert done.returncode == 0, done.stderr
    assert "-> get_current_weather(city='Paris')" in done.stderr
    assert "<- 22 degrees and sunny in Paris" in done.stderr
    assert "22" in done.stdout


def test_a_call_can_be_refused(server: LlamaServer, tools: Path) -> None:
    asked = ("-t", tools, "--ask", "--max-steps", 2, "--temperature", 0)
    done = run(*asked, "What is the weather in Paris?", server=server, stdin="n\nn\nn\n")
    assert "Call get_current_weather(city='Paris')? [y/N]" in done.stderr
    assert "does not allow" in done.stderr


def test_lines_are_a_conversation(server: LlamaServer, tools: Path, tmp_path: Path) -> None:
    saved = tmp_path / "talk.json"
    lines = f"My name is Ada.\n\n/tools\n/save {saved}\n/clear\n/load {saved}\n/load\n"
    lines += "/load nothing\n/tolls\n/help\n/quit\nmore\n"
    done = run("--temperature", 0, "-n", 64, "-t", tools, server=server, stdin=lines)
    assert done.returncode == 0, done.stderr
    assert "get_current_weather: Get the current weather." in done.stdout
    assert "/save FILE" in done.stdout
    for words in ("give the name of a file", "nothing", "no command /tolls; did you mean /tools?"):
        assert words in done.stderr
    assert "My name is Ada." in saved.read_text()
    assert "more" not in done.stdout


def test_a_file_of_tools_that_raises_is_named(tmp_path: Path) -> None:
    file = tmp_path / "broken_tools.py"
    file.write_text("1 / 0")
    assert "ZeroDivisionError" in run("-m", "a", "-t", file).stderr
    file.write_text("x = 1")
    assert "has no public function" in run("-m", "a", "-t", file).stderr
    for tools, words in (("5", "tools must be a list"), ("[5]", "a tool is a function")):
        file.write_text(f"TOOLS = {tools}")
        done = run("-m", "a", "-t", file)
        assert done.returncode == 2
        assert words in done.stderr
        assert "Traceback" not in done.stderr


class Terminal:
    """The command in a terminal of its own."""

    def __init__(self, url: str, key: str, *options: str) -> None:
        command = [sys.executable, "-m", "llama_cpp.cli", "agent", "--url", url, *options]
        self._child, self._terminal = pty.fork()
        if self._child == 0:
            os.chdir(ROOT)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            env = {
                **os.environ,
                "LLAMA_API_KEY": key,
                "TERM": "xterm",
                "PROMPT_TOOLKIT_NO_CPR": "1",
            }
            os.execve(sys.executable, command, env)
        self._raw = self._shown = ""
        self.until("> ")

    def until(self, pattern: str) -> str:
        """Wait until this is shown after the last input; returns all the output since then."""
        assert self._comes(pattern, 60), self._shown
        return self._shown

    def ctrl_c(self, pattern: str, before: str = "") -> None:
        """Type it until this is shown: one that comes just before the wait begins can be missed."""
        self.type(f"{before}\x03")
        for _ in range(6):
            if self._comes(pattern, 10):
                return
            os.write(self._terminal, b"\x03")
        self.until(pattern)

    def _comes(self, pattern: str, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not re.search(pattern, self._shown, re.S):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._terminal], [], [], left)[0]:
                return False
            self._raw += os.read(self._terminal, 4096).decode("utf-8", "replace")
            moved = re.sub(r"\x08*\x1b\[\d*C", " ", self._raw)  # the cursor, as over a space
            self._shown = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", moved)
        return True

    def type(self, text: str) -> None:
        self._raw = self._shown = ""
        os.write(self._terminal, text.encode())

    def ended(self) -> int:
        """Its exit code."""
        _, status = os.waitpid(self._child, 0)
        self._child = 0
        return os.waitstatus_to_exitcode(status)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._terminal)
        if self._child:
            os.kill(self._child, signal.SIGKILL)
            self.ended()


def test_ctrl_c_stops_an_answer_and_not_the_talk(server: LlamaServer) -> None:
    with Terminal(server.base_url, server.api_key) as terminal:
        terminal.type("Write a very long story about the sea.\n")
        terminal.until(r"sea\.\s+\w.{20}")
        terminal.ctrl_c(r"\[stopped\].*> ")
        terminal.ctrl_c(r"Ctrl-D or /quit ends the talk.*> ", "not mea")
        terminal.type("/help\n")
        terminal.until("Ctrl-D.*> ")
        terminal.type("\x04")
        assert terminal.ended() == 0


def test_calls_are_asked_for_one_by_one_and_ctrl_c_makes_none(tmp_path: Path) -> None:
    made = tmp_path / "made"
    tools = tmp_path / "note_tools.py"
    tools.write_text(
        "def note(text: str) -> None:\n"
        f"    with open({str(made)!r}, 'a') as file:\n        file.write(text)\n"
    )
    calls = [called("note", f'{{"text": "{text}"}}', i) for i, text in enumerate("ab")]
    with (
        fault_server(chat("", "tool_calls", calls), native=True) as server,
        Terminal(server.url, "", "--ask", "--tools", str(tools)) as terminal,
    ):
        terminal.type("Note a and b.\n")
        assert terminal.until(r"\[y/N\]: ").count("[y/N]") == 1
        terminal.type("y\n")
        assert terminal.until(r"\[y/N\]: ").count("[y/N]") == 1
        terminal.ctrl_c(r"\[stopped\].*> ")
        terminal.type("/quit\n")
        assert terminal.ended() == 0
    assert not made.exists()
