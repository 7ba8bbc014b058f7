"""Drafts by a model's own prediction head: the same tokens as without, as llama-server has them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from llama_cpp import Llama, LlamaLibrary, LlamaModel, LlamaModelError
from llama_cpp.errors import LlamaClosedError
from llama_cpp.generate import MtpDraft
from tests.support import tiny
from tests.support.llamaserver import ask, running, wait

PROMPT = "once upon a time the cat sat on the mat and was in the world to be"


def with_head(folder: Path, layers: float, head: float) -> Path:
    """A model whose layers add only the part ``layers`` of what they compute: with 0 the next token
    depends on the last one alone, which the head reads. It reads the part ``head`` of the state."""
    folder.mkdir()
    path = tiny.make("mtp", folder)
    for tensor in gguf.GGUFReader(path, "r+").tensors:
        if "attn_output" in tensor.name or "ffn_down" in tensor.name:
            tensor.data[:] *= layers
        if "eh_proj" in tensor.name:
            tensor.data[:, : tiny.N_EMBD] = np.eye(tiny.N_EMBD)
            tensor.data[:, tiny.N_EMBD :] *= head
    return path


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("mtp")
    random = tiny.make("mtp", folder)
    parts = {"right": (0.0, 0.0), "half": (0.25, 0.2), "states": (0.1, 0.5)}
    return {name: with_head(folder / name, *part) for name, part in parts.items()} | {
        "random": random
    }


def opened(path: Path, **params: Any) -> Llama:
    return Llama(path, load_mtp=True, **{"n_ctx": 256, "n_threads": 1, **params})


@pytest.mark.parametrize("kind", ["right", "half", "states", "random"])
def test_a_head_drafts_as_llama_server_has_it(
    paths: dict[str, Path], kind: str, library: LlamaLibrary, tmp_path: Path
) -> None:
    with opened(paths[kind]) as llm, MtpDraft(llm.ctx, adapt=False) as draft:
        prompt = llm.tokenize(PROMPT)
        options: Any = {"max_tokens": 60, "temperature": 0, "ignore_eos": True}
        without = llm.complete(prompt, cache_prompt=False, **options)
        done = llm.complete(prompt, cache_prompt=False, draft=draft, **options)
        cached = llm.complete(prompt, draft=draft, **options)
    assert done.tokens == cached.tokens == without.tokens
    drafted, accepted = done.usage.drafted_tokens, done.usage.accepted_tokens
    arguments = ("--spec-type", "draft-mtp", "--spec-draft-n-max", 3, "--spec-draft-p-min", 0)
    with running(library, paths[kind], tmp_path, *arguments) as server:
        wait(server)
        data = {"prompt": prompt, "n_predict": 60, "temperature": 0, "ignore_eos": True}
        reply = ask(server, "completion", data | {"return_tokens": True})
    assert reply["tokens"] == without.tokens
    timings = reply["timings"]
    theirs = timings["draft_n"], timings["draft_n_accepted"]
    assert abs(accepted - theirs[1]) <= 3, (drafted, accepted, theirs)  # ends within a draft
    assert (accepted == drafted) == (kind == "right")
    assert (accepted > 5) == (kind != "random")


def test_it_starts_anew_where_it_has_missed_some(paths: dict[str, Path]) -> None:
    with opened(paths["right"], n_batch=16) as llm, MtpDraft(llm.ctx, adapt=False) as draft:
        options: Any = {"max_tokens": 30, "temperature": 0}
        first = llm.complete(PROMPT, draft=draft, **options)
        other = llm.complete("the cat " * 20, draft=draft, **options)
        again = llm.complete(PROMPT, draft=draft, **options)
        assert again.tokens == first.tokens
        assert other.usage.accepted_tokens > 10
        assert draft.draft([1, 2, 3], 2) == [], "not what was decoded last"
    with opened(paths["right"]) as llm, MtpDraft(llm.ctx) as draft:
        assert llm.complete(PROMPT, draft=draft, **options).tokens == first.tokens


def test_what_has_no_head_is_refused(
    paths: dict[str, Path], tiny_path: Callable[..., Path]
) -> None:
    with (
        Llama(tiny_path("llama"), n_ctx=64) as llm,
        opened(paths["right"]) as other,
        MtpDraft(other.ctx) as draft,
    ):
        with pytest.raises(LlamaModelError, match="drafts for its own model alone"):
            llm.complete("the cat", max_tokens=4, draft=draft)
        draft.close()
        with pytest.raises(LlamaClosedError):
            other.complete("the cat", max_tokens=4, draft=draft)
        assert other.complete("the cat", max_tokens=4).tokens
    with (
        LlamaModel.from_file(paths["right"]) as model,
        Llama(model, n_ctx=64) as llm,
        pytest.raises(LlamaModelError, match="load_mtp=True"),
    ):
        MtpDraft(llm.ctx)
