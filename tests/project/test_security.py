"""Promises of SECURITY.md that no other test checks: rules for the code, and secret keys."""

from __future__ import annotations

import ast
import copy
import logging
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llama_cpp import (
    AsyncLlamaAgent,
    Llama,
    LlamaAgent,
    LlamaClient,
    LlamaContext,
    LlamaModel,
    LlamaSampler,
    LlamaServerError,
)
from tests.support.faultserver import error, fault_server
from tests.support.python import ROOT

# Runs text as a program, or unpacks without the checks of `llama_cpp.engine.archive.unpack`.
_NEVER = {
    *("os.system", "os.popen", "eval", "exec", "pickle.loads", "pickle.load", "marshal.loads"),
    *("subprocess.getoutput", "subprocess.getstatusoutput", "shutil.unpack_archive"),
    *("tar.extractall", "zipped.extractall", "asyncio.create_subprocess_shell"),
}
_ALLOWED = {
    # The example's purpose is to run the model's code, and its docstring says so.
    ("examples/agent_function_calling.py", "exec"),
    # The signatures that the generator wrote into the same file.
    ("llama_cpp/_raw.py", "eval"),
    ("codegen/runtime.py", "eval"),
    # The cells of the project's own notebooks.
    ("docs/_site/notebooks.py", "exec"),
    ("docs/_site/notebooks.py", "eval"),
}
# Changes the process for all of it.
_STATE = {
    *("signal.signal", "signal.set_wakeup_fd", "signal.pthread_sigmask", "signal.setitimer"),
    *("os.putenv", "os.unsetenv", "os.environ.update", "os.environ.setdefault", "os.environ.pop"),
    *("os.chdir", "os.umask", "os.dup2", "locale.setlocale", "resource.setrlimit"),
    *("sys.setrecursionlimit", "sys.settrace", "threading.stack_size", "warnings.simplefilter"),
    *("faulthandler.enable", "socket.setdefaulttimeout", "logging.basicConfig", "gc.disable"),
}
_STATE_ALLOWED = {
    ("llama_cpp/native/interrupt.py", "signal.signal"),  # each is told of on the page on safety
    ("llama_cpp/engine/machine.py", "os.putenv"),
    ("llama_cpp/engine/machine.py", "os.unsetenv"),
    ("llama_cpp/server/process.py", "os.dup2"),  # its own descriptor, in a forked process
}
KEY = "sk-very-secret"


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """File, name and call of all that the project's code calls."""
    for folder in ("llama_cpp", "codegen", "examples", "release", "docs"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.Call):
                    yield file.relative_to(ROOT).as_posix(), ast.unparse(node.func), node


def test_the_process_is_changed_in_known_places_only() -> None:
    """Programs of our own (the command, the processes that we start) may."""
    own = ("cli/", "engine/command.py", "server/warden.py", "generate/trial.py", "__pyinstaller/")
    found = {(f, name) for f, name, _ in calls() if f.startswith("llama_cpp/") and name in _STATE}
    assert {(f, n) for f, n in found if not f[10:].startswith(own)} == _STATE_ALLOWED


def test_no_shell_and_nothing_that_runs_text() -> None:
    found = [(file, name) for file, name, _ in calls() if name in _NEVER]
    found += [
        (file, f"{name}(shell=...)")
        for file, name, node in calls()
        if any(keyword.arg == "shell" for keyword in node.keywords)
    ]
    assert set(found) == _ALLOWED


def test_actions_are_pinned_by_their_commits() -> None:
    used = [
        line.split("uses:")[1].strip()
        for file in sorted((ROOT / ".github" / "workflows").glob("*.yml"))
        for line in file.read_text("utf-8").splitlines()
        if "uses:" in line
    ]
    assert len(used) >= 5
    assert [u for u in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", u)] == []


def test_a_key_is_in_no_repr_error_log_or_saved_conversation(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    # A server that echoes the request.
    answer = error(401, f"bad key 'Bearer {KEY}'")
    with fault_server(answer) as server, LlamaAgent(server.url, api_key=KEY, retries=0) as agent:
        with pytest.raises(LlamaServerError) as caught:
            agent.run("hello")
        agent.save(tmp_path / "talk.json")
        texts = [repr(agent), str(caught.value), repr(caught.value), caplog.text]
    texts.append((tmp_path / "talk.json").read_text())
    assert (tmp_path / "talk.json").stat().st_mode & 0o77 == 0
    for cls in (LlamaClient, LlamaAgent, AsyncLlamaAgent):
        made = cls("http://127.0.0.1:9", api_key=KEY)
        texts.append(repr(made))
        with pytest.raises(TypeError, match="cannot be copied") as refused:
            pickle.dumps(made)
        texts.append(str(refused.value))
    assert not any("secret" in text for text in texts)


def test_owners_of_memory_cannot_be_copied(tiny_model: Any, tiny_path: Any) -> None:
    model = tiny_model("llama")
    with LlamaContext(model, n_ctx=64) as ctx, Llama(tiny_path("llama"), n_ctx=64) as llm:
        owners = (
            model,
            ctx,
            llm,
            LlamaSampler.chain().greedy(),
            ctx.sequence(),
            ctx.core._resource,
        )
        for owner in owners:
            for way in (copy.copy, copy.deepcopy, pickle.dumps):
                with pytest.raises(TypeError, match=r"cannot be copied, .* and make another there"):
                    way(owner)
    assert isinstance(model, LlamaModel)
