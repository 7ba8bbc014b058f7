"""Embeddings, reranking and classes of text."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llama_cpp import Llama, LlamaContext, LlamaModel, LlamaModelError
from tests.support import tiny
from tests.support.patience import patience
from tests.support.python import ROOT, run_python

TEXTS = ["hello", "the cat sat on a mat", "once in time", "the cat sat on the mat", "or not"]


@pytest.fixture
def llama(tiny_path: Callable[..., Path]) -> Iterator[Callable[..., Llama]]:
    made = []

    def make(kind: str, **keywords: Any) -> Llama:
        made.append(Llama(tiny_path(kind), n_threads=1, n_threads_batch=1, **keywords))
        return made[-1]

    yield make
    for llm in made:
        llm.close()


def cosine(a: Any, b: Any) -> float:
    a, b = np.asarray(a), np.asarray(b)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize("kind", ["bert", "llama", "swa", "mamba", "hybrid", "t5"])
def test_texts_together_are_as_each_alone(llama: Callable[..., Llama], kind: str) -> None:
    llm = llama(kind)
    together = llm.embed(TEXTS)
    assert (together.shape, together.format) == ((len(TEXTS), tiny.N_EMBD), "f")
    array = np.asarray(together)
    assert array.dtype == np.float32
    assert np.shares_memory(array, np.asarray(together))
    assert np.allclose(np.linalg.norm(array, axis=1), 1, atol=1e-5)
    for i, text in enumerate(TEXTS):
        alone = llm.embed(text)
        assert alone.shape == (1, tiny.N_EMBD)
        assert cosine(array[i], np.asarray(alone)[0]) > 0.999
    assert cosine(array[0], array[1]) < 0.99


def test_more_texts_than_sequences_come_in_order(llama: Callable[..., Llama]) -> None:
    llm = llama("bert")
    many = np.asarray(llm.embed([TEXTS[i % 5] for i in range(150)]))
    five = np.asarray(llm.embed(TEXTS))
    assert np.allclose(many.reshape(30, 5, -1), five, atol=1e-2)


def test_the_mean_is_that_of_the_tokens(
    llama: Callable[..., Llama], tiny_model: Callable[..., LlamaModel]
) -> None:
    model = tiny_model("llama")
    tokens = model.tokenize(TEXTS[1])
    with LlamaContext(model, n_ctx=64, embeddings=True, n_threads=1) as ctx:
        ctx.decode(tokens)
        each = np.array([ctx.embeddings(i) for i in range(len(tokens))])
    ours = np.asarray(llama("llama").embed(TEXTS[1], normalize=False))[0]
    assert np.allclose(ours, each.mean(axis=0), atol=0.02)


def test_the_last_token_where_it_is_asked_for(llama: Callable[..., Llama]) -> None:
    mean = np.asarray(llama("llama").embed(TEXTS[1]))
    last = np.asarray(llama("llama", pooling_type=3).embed(TEXTS[1]))
    assert cosine(mean[0], last[0]) < 0.99


def test_generation_goes_on_beside_it(llama: Callable[..., Llama]) -> None:
    llm = llama("llama", n_ctx=256)
    expected = llm.complete(TEXTS[1], max_tokens=8, temperature=0, cache_prompt=False).text
    pieces = []
    for piece in llm.generate(TEXTS[1], max_tokens=8, temperature=0, cache_prompt=False):
        llm.embed(TEXTS[0])
        pieces.append(piece)
    assert "".join(pieces) == expected


def test_a_longer_text_gets_a_larger_context(llama: Callable[..., Llama]) -> None:
    llm = llama("llama")
    short = np.array(llm.embed("hello"))
    long_ = "the cat " * 250
    assert llm.embed(long_).shape == (1, tiny.N_EMBD)
    assert np.allclose(np.asarray(llm.embed("hello")), short, atol=1e-3)
    with pytest.raises(ValueError, match=r"text 1 has 602 tokens, .* takes 512 at most: split it"):
        llm.embed(["hello", "the cat " * 300])


def test_no_texts_and_empty_ones(llama: Callable[..., Llama], model: LlamaModel) -> None:
    with pytest.raises(ValueError, match="there are no texts"):
        llama("bert").embed([])
    assert llama("bert").embed("").shape == (1, tiny.N_EMBD)  # its special tokens
    with pytest.raises(ValueError, match="text 1 is empty"):
        Llama(model, n_ctx=64).embed(["hello", ""])


def test_without_numpy_lengths_are_1_too(tiny_path: Callable[..., Path]) -> None:
    code = """if True:
        import math, sys
        from llama_cpp import Llama
        rows = Llama(sys.argv[1], n_threads=1).embed(["hello", "the cat"])
        assert "numpy" not in sys.modules
        print(rows.shape, [round(math.hypot(*row), 5) for row in rows.tolist()])
    """
    assert run_python(code, tiny_path("bert")).stdout == "(2, 64) [1.0, 1.0]\n"


def test_a_real_model_knows_what_is_near(model: LlamaModel) -> None:
    llm = Llama(model, n_ctx=64)
    rows = np.asarray(
        llm.embed(["A cat sleeps on the sofa.", "A kitten naps on the couch.", "Taxes rose again."])
    )
    assert rows[0] @ rows[1] > rows[0] @ rows[2]
    llm.ctx.close()


# -- rerankers and classifiers


def test_rerank_is_what_the_library_says(
    llama: Callable[..., Llama], tiny_model: Callable[..., LlamaModel]
) -> None:
    ranked = llama("rerank").rerank("hello world", TEXTS)
    assert sorted(r.index for r in ranked) == list(range(len(TEXTS)))
    assert [r.score for r in ranked] == sorted((r.score for r in ranked), reverse=True)
    model = tiny_model("rerank")
    cls, sep = model.vocab.bos, model.vocab.sep
    assert cls is not None
    assert sep is not None
    query = model.tokenize("hello world", add_special=False)
    with LlamaContext(model, n_ctx=64, embeddings=True, n_threads=1) as ctx:
        for one in ranked:
            document = model.tokenize(TEXTS[one.index], add_special=False)
            ctx.decode([cls, *query, sep, *document])
            (score,) = ctx.embeddings_seq(0)
            assert one.score == pytest.approx(score, abs=1e-3)


def test_rerank_of_nothing(llama: Callable[..., Llama]) -> None:
    assert llama("rerank").rerank("hello", []) == []
    with pytest.raises(TypeError, match="not one string"):
        llama("rerank").rerank("hello", "the cat")


def test_classes_are_probabilities(llama: Callable[..., Llama]) -> None:
    llm = llama("classify")
    classes = [llm.classify(text) for text in TEXTS]
    for found in classes:
        assert sorted(found) == sorted(tiny.LABELS)
        assert sum(found.values()) == pytest.approx(1)
        assert list(found.values()) == sorted(found.values(), reverse=True)
    assert classes[0] != classes[1]


def test_a_model_for_something_else_says_so(llama: Callable[..., Llama]) -> None:
    with pytest.raises(LlamaModelError, match="gives scores, not embeddings"):
        llama("rerank").embed("hello")
    for kind in ("bert", "llama"):
        with pytest.raises(LlamaModelError, match="has no classifier"):
            llama(kind).rerank("hello", ["the cat"])
    with pytest.raises(LlamaModelError, match="has no classes: see rerank"):
        llama("rerank").classify("hello")


def test_the_example(tiny_path: Callable[..., Path]) -> None:
    command = [sys.executable, ROOT / "examples" / "embeddings.py", "-m", tiny_path("bert")]
    done = subprocess.run(
        [*command, "the cat", "hello", "the cat"],
        cwd=ROOT,
        capture_output=True,
        timeout=patience(120),
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode().splitlines()
    assert lines[0] == "1.000  the cat"
    assert lines[1].endswith("  hello")
    wrong = subprocess.run(
        [*command, "hello"], cwd=ROOT, capture_output=True, timeout=patience(120)
    )
    assert wrong.returncode == 2
