"""Prompts in a folder: computed once, by whichever process, and never taken for others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llama_cpp import Llama
from llama_cpp.context import PromptCache
from tests.support.adapters import write_lora
from tests.support.patience import patience
from tests.support.python import ROOT

SYSTEM = "you are a cat that sat on the mat and knows all about mats and cats " * 3
PROMPTS = [SYSTEM + question for question in ("who are you", "what is a mat", "why is it so")]
MOST = 1 << 30


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.programs.stored_prompts", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def results(process: subprocess.Popen[str]) -> list[tuple[str, int]]:
    out, _ = process.communicate(timeout=patience(300))
    assert process.returncode == 0
    return [tuple(json.loads(line)) for line in out.splitlines()]


@pytest.fixture
def answer(tiny_path: Callable[..., Path], tmp_path: Path) -> Callable[..., tuple[str, int]]:
    """The text of a prompt by a new context with a cache, and how much of it was there."""

    def answer(
        prompt: str, kind: str = "llama", cache: PromptCache | None = None, **params: Any
    ) -> tuple[str, int]:
        lora = params.pop("lora", None)
        cache = cache or PromptCache(tmp_path / "cache", min_tokens=16)
        params = {"n_ctx": 512, "n_threads": 1, "n_threads_batch": 1} | params
        with Llama(tiny_path(kind), prompt_cache=cache, **params) as llm:
            if lora is not None:
                llm.ctx.set_loras([llm.model.load_lora(lora)])
            done = llm.complete(prompt, max_tokens=8, temperature=0)
            plain = llm.complete(prompt, max_tokens=8, temperature=0, cache_prompt=False)
            assert done.text == plain.text
            return done.text, done.usage.cached_tokens

    return answer


def test_another_process_continues_from_it(tiny_path: Callable[..., Path], tmp_path: Path) -> None:
    folder = tmp_path / "new" / "cache"
    ((first, none),) = results(start(tiny_path("llama"), folder, MOST, PROMPTS[0]))
    again, other = results(start(tiny_path("llama"), folder, MOST, *PROMPTS[:2]))
    with Llama(tiny_path("llama"), n_ctx=512, n_threads=1) as llm:
        n = [len(llm.tokenize(prompt)) for prompt in (SYSTEM, *PROMPTS)]
    assert none == 0
    assert again == (first, n[1] - 1)
    assert other[1] >= n[0] - 1
    (file,) = folder.iterdir()
    assert (file.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)


@pytest.mark.parametrize("kind", ["llama", "swa", "mamba", "hybrid"])
def test_what_prompts_have_in_common_is_computed_once(
    answer: Callable[..., tuple[str, int]], kind: str
) -> None:
    cached = [answer(prompt, kind)[1] for prompt in PROMPTS]
    # A model that forgets learns with the second prompt what to keep.
    assert [n > 60 for n in cached] == [False, kind == "llama", True]
    assert answer(PROMPTS[0], kind)[1] > cached[2]


def test_other_settings_have_other_states(
    answer: Callable[..., tuple[str, int]], tmp_path: Path
) -> None:
    lora = write_lora(tmp_path / "lora.gguf")
    settings: list[dict[str, Any]] = [
        {},
        {"type_k": 8, "type_v": 8},
        {"rope_freq_base": 5000.0},
        {"flash_attn_type": 0},
        {"kv_overrides": {"llama.rope.freq_base": 2000.0}},
        {"lora": lora},
    ]
    assert [answer(PROMPTS[0], **one)[1] for one in settings] == [0] * len(settings)
    assert all(answer(PROMPTS[0], **one)[1] for one in settings)


@pytest.mark.filterwarnings("error")
def test_one_without_room_is_computed_and_stays(
    tiny_path: Callable[..., Path], tmp_path: Path
) -> None:
    long = [f"{word} the cat sat on the mat " * 40 for word in ("you", "and")]
    settings = {"n_ctx": 512, "n_threads": 1, "prompt_cache": tmp_path / "cache"}
    with Llama(tiny_path("llama"), **settings) as llm:
        text = llm.complete(long[0], max_tokens=8, temperature=0).text
        assert len(llm.tokenize(long[0])) > 256
    (file,) = (tmp_path / "cache").iterdir()
    with Llama(tiny_path("llama"), n_seq_max=2, **settings) as llm:
        for prompt in (long[0][:28], long[1], long[0]):  # the first leaves something to reuse
            done = llm.complete(prompt, max_tokens=8, temperature=0)
    assert (done.text, file.exists()) == (text, True)


def damaged(file: Path) -> dict[str, Callable[[], object]]:
    whole = file.read_bytes()
    outside = file.parent.parent / "outside"
    outside.write_bytes(whole)
    return {
        "short": lambda: file.write_bytes(whole[:100]),
        "cut": lambda: file.write_bytes(whole[:-1]),
        "changed": lambda: file.write_bytes(whole[:-5000] + b"\1" + whole[-4999:]),
        "empty": lambda: file.write_bytes(b""),
        "huge": lambda: file.write_bytes(whole[:16] + b"\xff" * 16 + whole[32:]),
        "nonsense": lambda: file.write_bytes(os.urandom(len(whole))),
        "link": lambda: file.symlink_to(outside),
        "pipe": lambda: os.mkfifo(file),
    }


@pytest.mark.parametrize(
    "damage", ["short", "cut", "changed", "empty", "huge", "nonsense", "link", "pipe"]
)
@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes")
def test_a_damaged_file_is_ignored_and_replaced(
    answer: Callable[..., tuple[str, int]], tmp_path: Path, damage: str
) -> None:
    text, _ = answer(PROMPTS[0])
    (file,) = (tmp_path / "cache").iterdir()
    do = damaged(file)[damage]
    file.unlink()
    do()
    if damage == "changed":  # its beginning is in order
        with pytest.warns(UserWarning, match="checksum"):
            assert answer(PROMPTS[0]) == (text, 0)
    else:
        assert answer(PROMPTS[0]) == (text, 0)
    assert answer(PROMPTS[0])[1] > 60


def test_what_was_not_used_for_longest_goes(
    answer: Callable[..., tuple[str, int]], tmp_path: Path
) -> None:
    answer(PROMPTS[0])
    (file,) = (tmp_path / "cache").iterdir()
    size = file.stat().st_size
    cache = PromptCache(tmp_path / "cache", min_tokens=16, max_bytes=size * 5 // 2)
    (tmp_path / "cache" / "old.part").write_text("left by a process that was killed")
    os.utime(tmp_path / "cache" / "old.part", (0, 0))
    texts = ["a dog " * 30, "the sea " * 30]
    answer(texts[0], cache=cache)
    os.utime(file, (1, 1))
    assert answer(PROMPTS[0], cache=cache)[1]  # used now
    answer(texts[1], cache=cache)
    names = {path.name for path in (tmp_path / "cache").iterdir()}
    assert file.name in names
    assert len(names) == 2
    assert [answer(text, cache=cache)[1] > 0 for text in (PROMPTS[0], texts[1])] == [True, True]
    cache.clear()
    assert not list((tmp_path / "cache").iterdir())


def test_processes_share_a_folder(tiny_path: Callable[..., Path], tmp_path: Path) -> None:
    path, folder = tiny_path("llama"), tmp_path / "cache"
    expected = [text for text, _ in results(start(path, tmp_path / "other", MOST, *PROMPTS))]
    size = max(file.stat().st_size for file in (tmp_path / "other").iterdir())
    running = [start(path, folder, size * 3 // 2, *PROMPTS * 3) for _ in range(3)]
    for process in running:
        assert [text for text, _ in results(process)] == expected * 3
    assert [path.suffix for path in folder.iterdir()] == [".state"]


def test_a_folder_that_fails_is_a_warning(
    answer: Callable[..., tuple[str, int]], tmp_path: Path
) -> None:
    cache = PromptCache(tmp_path / "cache", min_tokens=16)
    (tmp_path / "cache").rmdir()
    with pytest.warns(UserWarning, match=r"the prompt cache .*cache fails") as warned:
        assert answer(PROMPTS[0], cache=cache)[1] == 0
    assert len(warned) == 1
