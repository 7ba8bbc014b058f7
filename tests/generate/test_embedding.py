"""Embeddings, reranking and classes of text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llama_cpp import Llama, LlamaClient, LlamaContext, LlamaModel, LlamaModelError
from llama_cpp.context import params
from llama_cpp.errors import LlamaContextError, LlamaOutputError
from llama_cpp.model import LlamaControlVector
from tests.support import llamaserver, tiny
from tests.support.adapters import write_lora
from tests.support.llamaserver import KEY, running
from tests.support.python import run_example, run_python

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
    assert (together.shape, len(together)) == ((len(TEXTS), tiny.N_EMBD), len(TEXTS))
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


@pytest.mark.parametrize("pooling", [1, 2, 3])
def test_a_text_in_several_batches_is_pooled_as_its_tokens(
    llama: Callable[..., Llama], pooling: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llama_cpp.generate.embedding._LOGITS", 1)
    llm = llama("llama", pooling_type=pooling)
    texts = [TEXTS[1] * 20, TEXTS[0], TEXTS[3] * 30]
    ours = np.asarray(llm.embed(texts, normalize=False))
    for text, row in zip(texts, ours, strict=True):
        with LlamaContext(llm.model, n_ctx=512, embeddings=True, n_threads=1) as ctx:
            tokens = llm.tokenize(text)
            ctx.decode(tokens)
            each = np.array([ctx.embeddings(i) for i in range(len(tokens))])
        wanted = {1: each.mean(axis=0), 2: each[0], 3: each[-1]}[pooling]
        assert np.allclose(row, wanted, atol=0.02)
    # Python handles a row for each text and batch, not one for each token.
    with pytest.raises(LlamaOutputError, match="pools the tokens"):
        llm._embedder._ctx.embeddings(0)


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


def test_half_a_character_in_what_is_ranked_is_refused_by_its_place(
    llama: Callable[..., Llama],
) -> None:
    llm = llama("rerank")
    with pytest.raises(ValueError, match=r"^query has half a character"):
        llm.rerank("a\ud800", ["b"])
    with pytest.raises(ValueError, match=r"^documents\[1\] has half a character"):
        llm.rerank("a", ["b", "\udfff"])


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
    done = run_example("embeddings", "-m", tiny_path("bert"), "the cat", "hello", "the cat")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "1.000  the cat"
    assert lines[1].endswith("  hello")


# -- the same as llama-server


def test_vectors_are_a_sequence_without_numpy(llama: Callable[..., Llama]) -> None:
    llm = llama("llama")
    vectors = llm.embed(TEXTS)
    assert len(list(vectors)) == len(TEXTS)
    assert vectors[0].tolist() == vectors.tolist()[0] == llm.embed(TEXTS)[-5].tolist()
    assert vectors[1:3].tolist() == vectors.tolist()[1:3]
    assert vectors == llm.embed(TEXTS) != vectors[1:]
    with pytest.raises(IndexError):
        vectors[5]


def test_a_text_that_is_too_long_is_cut_off_when_asked(llama: Callable[..., Llama]) -> None:
    llm = llama("llama", n_ctx=512)
    long_ = "the cat " * 300
    rows = llm.embed(["hello", long_], truncate=True)
    assert cosine(rows[1], llm.embed("the cat " * 255)[0]) > 0.999
    assert cosine(rows[0], llm.embed("hello")[0]) > 0.999
    bert = llama("bert")
    assert np.isfinite(np.asarray(bert.embed("cat " * 900, truncate=True))).all()


def test_longer_contexts_than_in_training_are_for_embeddings_too(
    llama: Callable[..., Llama],
) -> None:
    llm = llama("llama", n_ctx=2048, rope_scaling_type=1, rope_freq_scale=0.25)
    assert llm.embed("the cat " * 600).shape == (1, tiny.N_EMBD)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_vectors_are_llama_servers_adapters_included(
    llama: Callable[..., Llama], tiny_path: Callable[..., Path], tmp_path: Path, pooling: str
) -> None:
    lora = write_lora(tmp_path / "lora.gguf")
    which = {"mean": 1, "cls": 2, "last": 3}[pooling]
    llm = llama("llama", pooling_type=which)
    plain = np.array(llm.embed(TEXTS))
    with llm.model.load_lora(lora) as adapter:
        llm.ctx.set_loras({adapter: 0.5})
        ours = np.array(llm.embed(TEXTS))
        llm.ctx.set_loras()
    # The first token, which attends to itself alone, is the same for any query.
    assert np.allclose(ours, plain, atol=1e-2) == (pooling == "cls")
    assert np.allclose(llm.embed(TEXTS), plain, atol=1e-6)
    options = ("--embeddings", "--pooling", pooling, "--lora-scaled", f"{lora}:0.5")
    with running(llm.model.library, llm.model.path, tmp_path, *options) as server:
        theirs = LlamaClient(server.url, api_key=KEY).embed(TEXTS)
    assert np.allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("template", [None, "[CLS] so: {query} [SEP] {document}, {query}? [SEP]"])
def test_scores_are_llama_servers_adapters_and_templates_included(
    tmp_path: Path, template: str | None
) -> None:
    lora = write_lora(tmp_path / "lora.gguf", arch="bert")
    facts = {".tokenizer.chat_template.rerank": template} if template else {}
    path = tiny.make("rerank", tmp_path, facts=facts)
    # With flash attention, a score depends on the rest of the batch, by 1e-3.
    exact: Any = {"n_threads": 1, "n_threads_batch": 1, "flash_attn_type": 0}
    with Llama(path, **exact) as llm, llm.model.load_lora(lora) as adapter:
        plain = llm.rerank("hello world", TEXTS)
        llm.ctx.set_loras({adapter: 2.0})
        ours = {r.index: r.score for r in llm.rerank("hello world", TEXTS)}
    assert ours != pytest.approx({r.index: r.score for r in plain}, abs=1e-2)
    options = ("--reranking", "--lora-scaled", f"{lora}:2.0", "--flash-attn", "off")
    with running(llm.model.library, path, tmp_path, *options) as server:
        theirs = LlamaClient(server.url, api_key=KEY).rerank("hello world", TEXTS)
    assert ours == pytest.approx({r["index"]: r["relevance_score"] for r in theirs}, abs=1e-4)


QWEN3 = (
    '<|im_start|>system\nAnswer "yes" or "no".<|im_end|>\n<|im_start|>user\n<Query>: {query}\n'
    "<Document>: {document}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
)


@pytest.mark.parametrize("template", [None, "so: {query} [SEP] {document}, {query}? [SEP]", QWEN3])
def test_a_reranker_reads_the_tokens_that_llama_server_gives_it(
    tmp_path: Path, template: str | None
) -> None:
    """With flash attention, one document at a time: then both compute the same batches."""
    facts = {".tokenizer.chat_template.rerank": template} if template else {}
    path, query = tiny.make("rerank", tmp_path, facts=facts), "hello world"
    options = ("--reranking", "--flash-attn", "on")
    with (
        Llama(path, n_threads=1, n_threads_batch=1, flash_attn_type=1) as llm,
        running(llm.model.library, path, tmp_path, *options) as server,
    ):
        llamaserver.wait(server)
        for text in TEXTS:
            body = {"query": query, "documents": [text]}
            theirs = llamaserver.ask(server, "rerank", body)
            tokens = llm._embedder._pair(query, text, False)
            assert theirs["usage"]["prompt_tokens"] == len(tokens)
            score = theirs["results"][0]["relevance_score"]
            assert llm.rerank(query, [text])[0].score == pytest.approx(score, abs=1e-4)


def test_a_control_vector_acts_on_embeddings(llama: Callable[..., Llama]) -> None:
    llm = llama("llama")
    plain = np.array(llm.embed(TEXTS))
    directions = {1: [0.5] * tiny.N_EMBD}
    llm.ctx.set_control_vector(LlamaControlVector(directions))
    assert not np.allclose(llm.embed(TEXTS), plain, atol=1e-3)


def test_no_logits_are_kept_for_a_long_text(model_path: Path) -> None:
    code = """if True:
        import resource, sys
        from llama_cpp import Llama
        llm = Llama(sys.argv[1], n_ctx=256)
        llm.embed("hello")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        llm.embed("the cat " * 300)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    done = run_python(code, model_path)
    assert int(done.stdout) < 100_000, done.stderr  # in KiB; logits alone would be 118,000, twice


def test_a_model_of_one_sequence_embeds_one_text_after_the_other(
    llama: Callable[..., Llama], monkeypatch: pytest.MonkeyPatch
) -> None:
    together = llama("llama").embed(TEXTS)
    monkeypatch.setattr(params, "_ONE_SEQUENCE", ("llama",))
    with pytest.raises(LlamaContextError, match="n_seq_max=2: the library can compute one seq"):
        llama("llama", n_seq_max=2)
    assert np.allclose(llama("llama").embed(TEXTS), together, atol=1e-5)
