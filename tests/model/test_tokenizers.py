"""Every vocabulary of the pinned source tree, and its cases: text, and the tokens that it gives."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from codegen import source
from llama_cpp import LlamaLibrary, LlamaModel, LlamaModelError, _raw
from llama_cpp.errors import LlamaTokenizeError
from llama_cpp.model.quoting import Quoting
from tests.support.python import run_python

VOCABULARIES = sorted((source.resolve().root / "models").glob("ggml-vocab-*.gguf"))
RUNS = "50 runs, 0 with other tokens than the library's"
WITH_CASES = [path for path in VOCABULARIES if Path(f"{path}.inp").is_file()]


class Case(NamedTuple):
    text: str
    tokens: list[int]


def cases(vocabulary: Path) -> list[Case]:
    texts = Path(f"{vocabulary}.inp").read_bytes().decode().split("\n__ggml_vocab_test__\n")
    lines = Path(f"{vocabulary}.out").read_text("utf-8").splitlines()
    # Behind the last mark there is nothing more.
    found = [Case(t, [int(n) for n in line.split()]) for t, line in zip(texts, lines, strict=False)]
    assert len(found) == len(lines) > 40
    return found


@pytest.fixture(scope="module")
def model(request: pytest.FixtureRequest, library: LlamaLibrary) -> Iterator[LlamaModel]:
    with LlamaModel.from_file(request.param, vocab_only=True, library=library) as model:
        yield model


def test_that_there_are_vocabularies_to_test() -> None:
    assert len(VOCABULARIES) == 19
    assert len(WITH_CASES) == 15


@pytest.mark.parametrize("model", WITH_CASES, indirect=True, ids=lambda path: path.stem)
def test_each_text_gives_the_tokens_that_it_should(model: LlamaModel) -> None:
    for text, tokens in cases(model.path):
        assert model.tokenize(text, add_special=False) == tokens, text


@pytest.mark.parametrize("model", VOCABULARIES, indirect=True, ids=lambda path: path.stem)
def test_text_comes_back_where_the_vocabulary_allows_it(model: LlamaModel) -> None:
    kind = model.vocab.type
    texts = [text for text, _ in cases(WITH_CASES[0])]
    if kind in (_raw.LLAMA_VOCAB_TYPE_WPM, _raw.LLAMA_VOCAB_TYPE_UGM):
        # These normalise case, accents and white space. Normalised text is unchanged.
        texts = ["hello world", "this is 33"]
    for text in texts:
        tokens = model.tokenize(text, add_special=False)
        stream = model.decoder(special=True)
        streamed = "".join(map(stream.feed, tokens)) + stream.finish()
        whole = model.detokenize(tokens)
        if kind == _raw.LLAMA_VOCAB_TYPE_BPE:
            assert streamed == text
            # Some of these vocabularies ask for "clean" spaces: none before punctuation.
            assert whole in (text, text.replace(" ?", "?"))
        else:
            assert streamed in (text, f" {text}")  # a word begins with a space
            assert whole == (f" {text}" if kind == _raw.LLAMA_VOCAB_TYPE_WPM else text)


@pytest.mark.parametrize("model", VOCABULARIES, indirect=True, ids=lambda path: path.stem)
def test_a_template_has_its_own_control_tokens_and_no_others(model: LlamaModel) -> None:
    names = [
        model.token_to_piece(t)
        for t in [*range(300), *range(len(model.vocab) - 300, len(model.vocab))]
        if model.vocab.is_control(t)
    ]
    own, other = ([name for name in names if len(name) > 2] * 2)[:2] or ("<a>", "<b>")
    rng = random.Random(24)
    for _ in range(20):
        words = (rng.choice(["a", " b", "\n", "  c", "é", "1.5", other]) for _ in range(12))
        text = f"{own}{''.join(words)}{own}"
        found = Quoting(model).tokens(lambda outside, text=text: text + outside(own))  # type: ignore[misc]
        if own == "<a>":  # no token of that name: all of it is text, merged with the text before
            assert found == model.tokenize(text + own, add_special=False)
            continue
        begin = model.tokenize(text, add_special=False)
        assert found == begin + model.tokenize(own, add_special=False, parse_special=False)


def test_long_runs_of_one_kind_of_character_give_the_librarys_tokens() -> None:
    # In a process of its own: without a stack for them this is a segmentation fault.
    words = ["gpt-4o", "tekken", "deepseek-llm", "exaone-moe"]
    done = run_python(
        "import sys; from checks.runs import main; sys.exit(main(sys.argv[1:]))",
        *(40_000, "--of", *words),
    )
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, RUNS), done.stderr


@pytest.mark.parametrize("name", ["llama-spm", "phi-3"])
def test_characters_that_no_token_has_take_no_square_of_the_time(
    name: str, library: LlamaLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = (path for path in VOCABULARIES if path.stem == f"ggml-vocab-{name}")
    rng = random.Random(5)
    words = [
        *"\U000f0000\U000f0001🦙🫠😶 \n",
        " a",
        "the cat",
        "é",
        ">",
        "</s>",
        "<|end|>",
        "<0xF0>",
        "▁",
    ]
    with LlamaModel.from_file(path, vocab_only=True, library=library) as model:
        for character in "\U000f0000\n\t":
            parts = model.vocab.parts(f">{character * 100_000}".encode())
            assert [len(part) for part in parts] == [4096] * 24 + [1697]
        for i in range(300):
            text = "".join(rng.choices(words, k=200))
            given = {"add_special": i % 2 == 0, "parse_special": i % 3 == 0}
            whole = model.tokenize(text, **given)
            with monkeypatch.context() as patch:
                patch.setattr("llama_cpp.model.vocab._WHOLE", 64)
                patch.setattr("llama_cpp.model.vocab._PART", 8)
                assert model.vocab.parts(text.encode())
                assert model.tokenize(text, **given) == whole


def test_a_line_too_long_for_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llama_cpp.model.text.memory_limit", lambda available: 100 << 20)
    with LlamaModel.from_file(VOCABULARIES[0], vocab_only=True) as model:
        lines = "two words\n" * 40_000  # as long, and each line is a match of its own at most
        assert len(model.tokenize(lines)) > 100_000
        with pytest.raises(LlamaTokenizeError, match="400000 of them in one line, may take"):
            model.tokenize("a" * 400_000)


def test_a_vocabulary_that_its_tokenizer_aborts_for_is_refused(library: LlamaLibrary) -> None:
    (path,) = (path for path in VOCABULARIES if path.stem == "ggml-vocab-gpt-2")
    overrides = {"tokenizer.ggml.pre": "whitespace"}
    with pytest.raises(LlamaModelError, match=r"could not be loaded: .*GGML_ASSERT"):
        LlamaModel.from_file(path, vocab_only=True, library=library, kv_overrides=overrides)
