"""Text to tokens and back: nothing is lost, and no character comes in halves."""

from __future__ import annotations

import random
import urllib.error

import pytest

from llama_cpp import LlamaModel
from tests.support import llamaserver

TEXTS = [
    "",
    " ",
    "\n\n\t  \r\n",
    "Hello my name is",
    "naïve café — „Größe“",
    "日本語のテキストと한국어와 العربية",
    "🙂👩‍👩‍👧‍👦🏳️‍🌈 e\u0301 \u0915\u094d\u0937",
    "\ufeffbyte order mark, \u200b zero width, \u202e right to left",
    "a\0b\0",
    "<|im_start|>user<|im_end|>",
    "x" * 5000,
]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: repr(text[:20]))
def test_a_text_comes_back_exactly(model: LlamaModel, text: str) -> None:
    tokens = model.tokenize(text)
    assert model.detokenize(tokens) == text
    assert model.detokenize_bytes(tokens) == text.encode()
    assert model.tokenize(text.encode()) == tokens
    assert b"".join(map(model.token_to_bytes, tokens)) == text.encode()


def test_random_unicode_comes_back_exactly(model: LlamaModel) -> None:
    # This vocabulary has no token for some bytes, such as 0x04 and 0xf1 (none of them begins an
    # assigned character but for a few control codes), and the library leaves those out.
    pieces = set(map(model.token_to_bytes, range(model.vocab.n_tokens)))
    known = {byte for byte in range(256) if bytes([byte]) in pieces}
    rng = random.Random(20)
    for _ in range(200):
        points = [rng.choice((rng.randrange(0x250), rng.randrange(0x110000))) for _ in range(60)]
        characters = [chr(p) for p in points if not 0xD800 <= p < 0xE000]
        text = "".join(c for c in characters if known.issuperset(c.encode()))
        assert len(text) > 20
        assert model.detokenize_bytes(model.tokenize(text)) == text.encode()


def test_bytes_that_are_no_text_become_replacement_characters(model: LlamaModel) -> None:
    # The library's tokenizers work on characters: invalid bytes become U+FFFD, never a crash.
    rng = random.Random(21)
    for _ in range(200):
        data = rng.randbytes(rng.randrange(40))
        tokens = model.tokenize(data)
        assert all(0 <= t < model.vocab.n_tokens for t in tokens)
        model.detokenize_bytes(tokens).decode()


def test_a_text_may_have_a_nul_and_no_half_a_character(
    model: LlamaModel, server: llamaserver.Running
) -> None:
    llamaserver.wait(server)
    body = {"content": "a\0b", "add_special": True}
    assert model.tokenize("a\0b") == llamaserver.ask(server, "tokenize", body)["tokens"]
    with pytest.raises(urllib.error.HTTPError):
        llamaserver.ask(server, "tokenize", {"content": "a\udc80b"})
    with pytest.raises(ValueError, match="half a character at 1"):
        model.tokenize("a\udc80b")


def test_a_megabyte_comes_back_exactly(model: LlamaModel) -> None:
    rng = random.Random(22)
    words = ["the ", "cat ", "naïve ", "🙂 ", "日本 ", "1234 ", "\n"]
    text = "".join(rng.choice(words) for _ in range(220_000))
    assert len(text.encode()) > 1_000_000
    tokens = model.tokenize(text)
    assert model.detokenize_bytes(tokens) == text.encode()


def test_control_tokens_are_read_unless_they_are_to_be_text(model: LlamaModel) -> None:
    marker = "<|im_start|>"
    (token,) = model.tokenize(marker)
    assert model.vocab.is_control(token)
    assert len(model.tokenize(marker, parse_special=False)) > 1
    assert model.detokenize([token]) == marker
    assert model.detokenize([token], special=False) == ""
    assert model.token_to_piece(token) == marker
    assert model.token_to_bytes(token, special=False) == b""


def test_every_token_has_a_piece_and_they_make_the_text(model: LlamaModel) -> None:
    tokens = list(range(model.vocab.n_tokens))
    assert model.detokenize_bytes(tokens) == b"".join(map(model.token_to_bytes, tokens))


def test_pieces_longer_than_the_first_buffer_come_whole(model: LlamaModel) -> None:
    long = [t for t in range(model.vocab.n_tokens) if len(model.token_to_bytes(t)) > 64]
    assert long, "this vocabulary has no such piece any more: take another model"
    for token in long:
        piece = model.token_to_bytes(token)
        assert model.detokenize_bytes([token]) == piece
        assert model.detokenize_bytes(model.tokenize(piece)) == piece


def test_tokens_may_be_any_iterable_of_integers(model: LlamaModel) -> None:
    tokens = model.tokenize("Hello my name is")
    assert model.detokenize(iter(tokens)) == "Hello my name is"
    assert model.detokenize(tuple(tokens)) == "Hello my name is"
    assert model.detokenize([]) == ""


# -- token by token


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: repr(text[:20]))
def test_a_stream_gives_the_text_in_whole_characters(model: LlamaModel, text: str) -> None:
    decoder = model.decoder()
    pieces = [decoder.feed(token) for token in model.tokenize(text, parse_special=False)]
    assert "".join(pieces) + decoder.finish() == text
    assert "\ufffd" not in "".join(pieces)


def test_a_character_of_several_tokens_waits_for_its_end(model: LlamaModel) -> None:
    tokens = model.tokenize("🦙𓀀")
    assert len(tokens) > 2, "each of the characters should be several tokens"
    decoder = model.decoder()
    pieces = [decoder.feed(token) for token in tokens]
    assert [p for p in pieces if p] == ["🦙", "𓀀"]
    assert decoder.finish() == ""


def test_a_stream_of_any_tokens_equals_their_text(model: LlamaModel) -> None:
    rng = random.Random(23)
    for _ in range(50):
        tokens = [rng.randrange(3, model.vocab.n_tokens) for _ in range(40)]
        decoder = model.decoder(special=True)
        text = "".join(map(decoder.feed, tokens)) + decoder.finish()
        assert text == model.detokenize(tokens)


def test_an_unfinished_character_ends_as_a_replacement(model: LlamaModel) -> None:
    first = model.tokenize("𓀀")[0]
    decoder = model.decoder()
    assert decoder.feed(first) == ""
    assert decoder.finish() == "\ufffd"


def test_a_stream_leaves_control_tokens_out_unless_asked(model: LlamaModel) -> None:
    (token,) = model.tokenize("<|im_end|>", parse_special=True)
    assert model.decoder().feed(token) == ""
    assert model.decoder(special=True).feed(token) == "<|im_end|>"
