"""`LlamaPredictor` as Ray Data calls it. On a cluster of two nodes: ``make checks NAME=ray``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llama_cpp import Llama
from llama_cpp.errors import LlamaClosedError
from llama_cpp.ray import LlamaPredictor
from tests.support.python import bare

Tiny = Callable[..., Path]
GREEDY: dict[str, Any] = {"max_tokens": 6, "temperature": 0}
SMALL: dict[str, Any] = {"n_ctx": 256, "n_threads": 1}


def column(*cells: Any) -> Any:
    """Cells as Ray gives them."""
    found = np.empty(len(cells), object)
    found[:] = cells
    return found


def test_a_batch_keeps_its_columns_and_gets_the_texts_that_the_prompts_have_alone(
    tiny_path: Tiny,
) -> None:
    prompts = ["the cat sat", "once", "hello world to be", "in time of", "a mat"]
    predict = LlamaPredictor(tiny_path("llama"), options=GREEDY, output="answer", **SMALL)
    found = predict({"id": np.arange(5), "prompt": np.array(prompts)})
    assert list(found) == ["id", "prompt", "answer", "error"]
    with Llama(tiny_path("llama"), **SMALL) as llm:
        assert found["answer"] == [llm.complete(p, **GREEDY).text for p in prompts]
    assert found["error"] == [""] * 5
    assert predict({"prompt": column()})["answer"] == []


def test_a_row_that_fails_says_why_and_harms_no_other(tiny_path: Tiny) -> None:
    own = column({"max_tokens": 1, "stop": None}, None, {"no_such": 1}, None)
    predict = LlamaPredictor(
        tiny_path("llama"), column="p", error="why", options=GREEDY, options_column="own", **SMALL
    )
    found = predict({"p": column("the cat", "the " * 500, "a", np.array([5, 6])), "own": own})
    assert [bool(text) for text in found["text"]] == [True, False, False, True]
    assert len(found["text"][0].split()) == 1
    assert found["why"][0] == found["why"][3] == ""
    assert found["why"][1].startswith("ValueError: ")
    assert found["why"][2].startswith("TypeError: ")
    assert "no_such" in found["why"][2]


def test_messages_and_constraints(tiny_path: Tiny) -> None:
    messages = [{"role": "user", "content": "the cat", "name": None}]
    options = {"json_schema": {"enum": [17, "mat"]}, "temperature": 0}
    predict = LlamaPredictor(tiny_path("llama"), "chat", options=options, **SMALL)
    found = predict({"messages": column(column(*messages), "the cat")})
    assert found["error"] == ["", ""]
    assert {json.loads(text) for text in found["text"]} < {17, "mat"}
    assert len(set(found["text"])) == 1


def test_embeddings_are_one_array_and_a_row_that_fails_has_no_numbers(tiny_path: Tiny) -> None:
    predict = LlamaPredictor(tiny_path("bert"), "embed", n_threads=1)
    found = predict({"text": column("the cat", "", "a mat")})
    with Llama(tiny_path("bert"), n_threads=1) as llm:
        expected = np.asarray(llm.embed(["the cat", "a mat"]))
    np.testing.assert_allclose(found["embedding"][[0, 2]], expected, atol=1e-5)
    assert np.isnan(found["embedding"][1]).all() == bool(found["error"][1])
    assert predict({"text": column()})["embedding"].shape == (0, expected.shape[1])


def test_what_is_wrong_with_all_rows_is_raised(tiny_path: Tiny) -> None:
    for task, option in (("complete", "max_token"), ("chat", "tempature"), ("embed", "max_tokens")):
        with pytest.raises(TypeError, match=f"{task} has no keyword argument '{option}'"):
            LlamaPredictor("no.gguf", task, options={option: 1})
    with pytest.raises(ValueError, match="task='rhyme': use one of complete, chat, embed"):
        LlamaPredictor(tiny_path("llama"), "rhyme")  # type: ignore[arg-type]
    predict = LlamaPredictor(tiny_path("llama"), **SMALL)
    with pytest.raises(KeyError, match="no column 'prompt' among text"):
        predict({"text": column("a")})
    predict._llm.close()
    with pytest.raises(LlamaClosedError):
        predict({"prompt": column("a")})


def test_without_its_packages_the_import_says_how_to_get_them(tmp_path: Path) -> None:
    done = bare("import llama_cpp.ray", tmp_path)
    assert "llama_cpp.ray needs numpy: pip install 'libllama-py[ray]'" in done.stderr
