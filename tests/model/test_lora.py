"""LoRA adapters and control vectors: their effects, refused files, and lifetimes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import gguf
import numpy as np
import pytest

from llama_cpp import LlamaContext, LlamaControlVector, LlamaLora, LlamaModel
from llama_cpp.errors import LlamaAdapterError, LlamaClosedError
from tests.support import tiny
from tests.support.adapters import Q, write_lora
from tests.support.python import run_example, run_program


@pytest.fixture
def tiny_llama(tiny_model: Callable[..., LlamaModel]) -> LlamaModel:
    return tiny_model("llama")


@pytest.fixture
def ctx(tiny_llama: LlamaModel) -> Iterator[LlamaContext]:
    with LlamaContext(tiny_llama, n_ctx=64, n_threads=1, n_threads_batch=1) as context:
        yield context


@pytest.fixture
def lora(tiny_llama: LlamaModel, tmp_path: Path) -> LlamaLora:
    return tiny_llama.load_lora(write_lora(tmp_path / "a.gguf"))


@pytest.fixture
def other(tiny_llama: LlamaModel, tmp_path: Path) -> LlamaLora:
    return tiny_llama.load_lora(write_lora(tmp_path / "b.gguf", seed=1))


def logits(ctx: LlamaContext) -> list[float]:
    ctx.memory.seq_rm()
    ctx.decode(ctx.model.tokenize("the cat sat"))
    return ctx.logits().tolist()


# -- LoRA


def test_an_adapter_changes_the_outputs_and_goes_without_a_trace(
    ctx: LlamaContext, lora: LlamaLora
) -> None:
    plain = logits(ctx)
    ctx.set_loras({lora: 1.0})
    assert ctx.loras == {lora: 1.0}
    changed = logits(ctx)
    assert changed != plain
    assert np.isfinite(changed).all()
    ctx.set_loras({lora: 0.5})
    assert logits(ctx) not in (plain, changed)
    ctx.set_loras([lora])
    assert logits(ctx) == changed
    ctx.set_loras({lora: 0.0})
    assert logits(ctx) == plain
    ctx.set_loras({lora: -1.0})
    assert logits(ctx) not in (plain, changed)
    ctx.set_loras()
    assert ctx.loras == {}
    assert logits(ctx) == plain


def test_an_adapter_adds_the_product_of_its_matrices(tmp_path: Path) -> None:
    path = tiny.make("llama", tmp_path)
    model = LlamaModel.from_file(path)
    adapter = write_lora(tmp_path / "a.gguf")
    a, b = (np.array(t.data) for t in gguf.GGUFReader(adapter).tensors)
    # The same, put into the weights.
    reader = gguf.GGUFReader(path, "r+")
    (weight,) = (t for t in reader.tensors if t.name == Q)
    weight.data[:] += 0.5 * (8.0 / 4) * b @ a
    reader.data.flush()
    merged = LlamaModel.from_file(path)
    with LlamaContext(model, n_ctx=64) as ctx, LlamaContext(merged, n_ctx=64) as wanted:
        ctx.set_loras({model.load_lora(adapter): 0.5})
        np.testing.assert_allclose(logits(ctx), logits(wanted), rtol=1e-3, atol=1e-3)


def test_two_adapters_at_once_and_one_for_another(
    ctx: LlamaContext, lora: LlamaLora, other: LlamaLora
) -> None:
    ctx.set_loras({lora: 1.0})
    first = logits(ctx)
    ctx.set_loras({other: 1.0})
    second = logits(ctx)
    ctx.set_loras({lora: 1.0, other: 1.0})
    both = logits(ctx)
    assert len({tuple(x) for x in (first, second, both)}) == 3
    ctx.set_loras([lora])
    assert logits(ctx) == first


def test_each_context_has_its_own_adapters(
    tiny_llama: LlamaModel, ctx: LlamaContext, lora: LlamaLora
) -> None:
    plain = logits(ctx)
    with LlamaContext(tiny_llama, n_ctx=64, n_threads=1, n_threads_batch=1) as second:
        second.set_loras([lora])
        assert logits(second) != plain
        assert logits(ctx) == plain


def test_tokens_decoded_before_stay_unchanged(ctx: LlamaContext, lora: LlamaLora) -> None:
    tokens = ctx.model.tokenize("the cat sat")
    ctx.decode(tokens[:-1])
    ctx.set_loras([lora])
    ctx.decode(tokens[-1:])
    mixed = ctx.logits().tolist()
    assert mixed != logits(ctx)


def test_an_adapter_says_what_it_is(tiny_llama: LlamaModel, tmp_path: Path) -> None:
    facts = {"general.name": "mine", "adapter.alora.invocation_tokens": [5, 6, 7]}
    lora = tiny_llama.load_lora(write_lora(tmp_path / "a.gguf", facts=facts))
    assert lora.metadata["general.name"] == "mine"
    assert lora.metadata["adapter.type"] == "lora"
    assert len(lora.metadata) == len(dict(lora.metadata)) == 5
    assert lora.invocation_tokens == [5, 6, 7]
    assert (lora.model, lora.path) == (tiny_llama, tmp_path / "a.gguf")
    assert "a.gguf" in repr(lora)


def test_a_closed_adapter_is_used_until_it_is_taken_off(
    ctx: LlamaContext, lora: LlamaLora, monkeypatch: pytest.MonkeyPatch
) -> None:
    freed: list[object] = []
    free = lora.library.llama_adapter_lora_free
    monkeypatch.setattr(
        lora.library, "llama_adapter_lora_free", lambda h: (freed.append(h), free(h))
    )
    ctx.set_loras([lora])
    changed = logits(ctx)
    lora.close()
    assert logits(ctx) == changed
    assert freed == []
    for use in (lambda: lora.metadata, lambda: lora.invocation_tokens, lambda: lora.handle):
        with pytest.raises(LlamaClosedError, match="adapter"):
            use()
    with pytest.raises(LlamaClosedError):
        ctx.set_loras([lora])
    assert logits(ctx) == changed
    ctx.set_loras()
    assert logits(ctx) != changed
    assert len(freed) == 1


@pytest.mark.parametrize(
    ("program", "printed"),
    [
        ("adapters_go_in_any_order", "done\n"),
        ("adapters_come_and_go", "[]\n"),  # while contexts compute
        ("ends_with_an_adapter_in_use", ""),  # by a daemon thread
    ],
)
def test_adapters_come_and_go_whatever_else_does(
    program: str, printed: str, tiny_path: Callable[..., Path], tmp_path: Path
) -> None:
    done = run_program(program, tiny_path("llama"), write_lora(tmp_path / "a.gguf"))
    assert done == (0, printed, "")


EMBD = "token_embd.weight"
BAD: dict[str, tuple[Callable[[Path, int], Path], str]] = {
    "a missing component": (lambda p, v: write_lora(p, {f"{Q}.lora_a": (4, 64)}), "missing"),
    "another model": (
        lambda p, v: write_lora(p, {f"{Q}.lora_a": (4, 32), f"{Q}.lora_b": (32, 4)}),
        "incorrect shape",
    ),
    "a tensor that is not there": (
        lambda p, v: write_lora(p, {"x.weight.lora_a": (4, 64), "x.weight.lora_b": (64, 4)}),
        "does not exist",
    ),
    "another architecture": (lambda p, v: write_lora(p, arch="qwen2"), "'qwen2' and not 'llama'"),
    "a model": (lambda p, v: tiny.make("llama", p.parent), "general.type is None"),
    "a type that is a number": (
        lambda p, v: write_lora(p, facts={"general.type": 5}),
        "general.type is None",
    ),
    "an adapter of another kind": (
        lambda p, v: write_lora(p, facts={"adapter.type": "ia3"}),
        "'ia3' and not 'lora'",
    ),
    "an alpha that is no float": (
        lambda p, v: write_lora(p, facts={"adapter.lora.alpha": 8}),
        "alpha",
    ),
    "integers": (lambda p, v: write_lora(p, type_=np.int32), "has type I32"),
    "three dimensions": (
        lambda p, v: write_lora(p, {f"{Q}.lora_a": (2, 4, 64), f"{Q}.lora_b": (2, 64, 4)}),
        "has shape",
    ),
    "ranks that differ": (
        lambda p, v: write_lora(p, {f"{Q}.lora_a": (4, 64), f"{Q}.lora_b": (64, 5)}),
        "ranks 4 and 5",
    ),
    "embeddings with ranks that differ": (
        lambda p, v: write_lora(p, {f"{EMBD}.lora_a": (v, 4), f"{EMBD}.lora_b": (64, 5)}),
        "ranks 4 and 5",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_what_does_not_fit_is_refused(tiny_llama: LlamaModel, tmp_path: Path, what: str) -> None:
    write, message = BAD[what]
    path = write(tmp_path / "bad.gguf", tiny_llama.vocab.n_tokens)
    with pytest.raises(LlamaAdapterError, match=message):
        tiny_llama.load_lora(path)


def test_a_damaged_adapter_is_refused(tiny_llama: LlamaModel, tmp_path: Path) -> None:
    data = write_lora(tmp_path / "a.gguf").read_bytes()
    for length in (0, 3, 20, 100, len(data) // 2, len(data) - 1):
        (tmp_path / "cut.gguf").write_bytes(data[:length])
        with pytest.raises(LlamaAdapterError, match=r"cut\.gguf|cut off|bounds"):
            tiny_llama.load_lora(tmp_path / "cut.gguf")
    with pytest.raises(FileNotFoundError):
        tiny_llama.load_lora(tmp_path / "none.gguf")


def test_embeddings_have_adapters_too(ctx: LlamaContext, tmp_path: Path) -> None:
    n_vocab = ctx.model.vocab.n_tokens
    shapes = {f"{EMBD}.lora_a": (n_vocab, 4), f"{EMBD}.lora_b": (64, 4)}
    plain = logits(ctx)
    ctx.set_loras([ctx.model.load_lora(write_lora(tmp_path / "a.gguf", shapes))])
    assert logits(ctx) != plain


def test_embeddings_that_are_the_output_have_none(model: LlamaModel, tmp_path: Path) -> None:
    # The library would multiply by the wrong matrix, and abort.
    shapes = {f"{EMBD}.lora_a": (model.vocab.n_tokens, 4), f"{EMBD}.lora_b": (model.n_embd, 4)}
    with pytest.raises(LlamaAdapterError, match="is the model's output, too"):
        model.load_lora(write_lora(tmp_path / "a.gguf", shapes))


def test_wrong_adapters_are_refused(
    ctx: LlamaContext, lora: LlamaLora, tiny_model: Callable[..., LlamaModel], tmp_path: Path
) -> None:
    theirs = tiny_model("llama", seed=1).load_lora(lora.path)
    with pytest.raises(LlamaAdapterError, match="another model"):
        ctx.set_loras([theirs])
    with pytest.raises(ValueError, match="finite"):
        ctx.set_loras({lora: math.inf})
    with pytest.raises(TypeError, match="scale must be a number"):
        ctx.set_loras({lora: "1"})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="twice"):
        ctx.set_loras([lora, lora])
    assert ctx.loras == {}
    ctx.close()
    with pytest.raises(LlamaClosedError):
        ctx.set_loras([lora])


def test_a_real_model_takes_an_adapter(model: LlamaModel, tmp_path: Path) -> None:
    shapes = {}
    for layer in range(model.n_layer):
        for name in ("attn_q", "attn_output"):
            at = f"blk.{layer}.{name}.weight"
            shapes |= {f"{at}.lora_a": (2, model.n_embd), f"{at}.lora_b": (model.n_embd, 2)}
    lora = model.load_lora(write_lora(tmp_path / "a.gguf", shapes, facts={}))
    with LlamaContext(model, n_ctx=64) as ctx:
        plain = logits(ctx)
        ctx.set_loras({lora: 0.01})
        assert logits(ctx) != plain
        ctx.set_loras()
        assert logits(ctx) == plain


# -- control vectors


def direction(**layers: float) -> LlamaControlVector:
    random = np.random.default_rng(1).standard_normal(tiny.N_EMBD)
    return LlamaControlVector({int(k[1:]): list(v * random) for k, v in layers.items()})


def test_a_control_vector_changes_the_outputs_and_goes_again(ctx: LlamaContext) -> None:
    plain = logits(ctx)
    vector = direction(l1=1)
    ctx.set_control_vector(vector)
    changed = logits(ctx)
    assert changed != plain
    ctx.set_control_vector(vector * 2)
    twice = logits(ctx)
    assert twice not in (plain, changed)
    ctx.set_control_vector(vector + vector, layers=(1, 1))
    assert logits(ctx) == twice
    ctx.set_control_vector(None)
    assert logits(ctx) == plain
    ctx.set_control_vector(2 * vector + -vector)
    np.testing.assert_allclose(logits(ctx), changed, rtol=1e-4, atol=1e-4)


def test_a_control_vector_is_limited_to_layers(model: LlamaModel) -> None:
    numbers = [0.5] * model.n_embd
    with LlamaContext(model, n_ctx=64) as ctx:
        ctx.set_control_vector(LlamaControlVector({3: numbers}))
        third = logits(ctx)
        ctx.set_control_vector(LlamaControlVector({3: numbers, 20: numbers}), layers=(1, 10))
        assert logits(ctx) == third
        ctx.set_control_vector(LlamaControlVector({20: numbers}))
        assert logits(ctx) != third


def test_a_control_vector_is_arithmetic() -> None:
    one, two = LlamaControlVector({1: [1, 2]}), LlamaControlVector({2: [3, 4]})
    assert one + two == LlamaControlVector({1: [1, 2], 2: [3, 4]})
    assert (one + one * 0.5).layers == {1: [1.5, 3.0]}
    assert (one.n_embd, (2 * one).layers, (-one).layers) == (2, {1: [2, 4]}, {1: [-1, -2]})
    assert "layers 1 to 2, n_embd=2" in repr(one + two)
    with pytest.raises(ValueError, match="width 3"):
        one + LlamaControlVector({1: [1, 2, 3]})
    with pytest.raises(TypeError):
        one * "2"  # type: ignore[operator]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({}, "each layer"),
        ({1: []}, "each layer"),
        ({1: [1.0], 2: [1.0, 2.0]}, "each layer"),
        ({0: [1.0]}, "start at 1, not 0"),
        ({1: [math.nan]}, "not finite"),
        ({1: [1e300]}, "not finite|32-bit"),
    ],
)
def test_wrong_numbers_are_refused(layers: dict[int, list[float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LlamaControlVector(layers)


def test_wrong_vectors_are_refused(ctx: LlamaContext) -> None:
    with pytest.raises(LlamaAdapterError, match="n_embd=2, not 64"):
        ctx.set_control_vector(LlamaControlVector({1: [1, 2]}))
    with pytest.raises(LlamaAdapterError, match="layers 1 to 1"):
        ctx.set_control_vector(direction(l2=1))
    for layers in ((0, 1), (1, 2)):
        with pytest.raises(ValueError, match="the model has 1 to 1"):
            ctx.set_control_vector(direction(l1=1), layers=layers)
    with pytest.raises(ValueError, match="without a vector"):
        ctx.set_control_vector(None, layers=(1, 1))
    with pytest.raises(TypeError, match="expected a LlamaControlVector"):
        ctx.set_control_vector([1.0])  # type: ignore[arg-type]


def test_a_control_vector_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "vector.gguf"
    vector = direction(l1=1, l3=2)
    write_lora(path, {}, arch="controlvector")
    writer = gguf.GGUFWriter(path, "controlvector")
    for layer, numbers in vector.layers.items():
        writer.add_tensor(f"direction.{layer}", np.array(numbers, np.float32))
    tiny.finish(writer)
    assert LlamaControlVector.from_file(path) == vector
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(LlamaAdapterError, match="cut off"):
        LlamaControlVector.from_file(path)


def test_the_example_shows_the_difference(model_path: Path, tmp_path: Path) -> None:
    with LlamaModel.from_file(model_path, vocab_only=True) as model:
        width = int(model.metadata["llama.embedding_length"])
    shapes = {}
    for layer in range(30):
        at = f"blk.{layer}.attn_output.weight"
        shapes |= {f"{at}.lora_a": (2, width), f"{at}.lora_b": (width, 2)}
    path = write_lora(tmp_path / "a.gguf", shapes, facts={"general.name": "noise"})
    done = run_example("lora", "-m", model_path, "-n", 8, "--lora", f"{path}=0.02")
    assert (done.returncode, done.stderr) == (0, "")
    about, without, within, again = done.stdout.splitlines()
    assert about == f"{path}: noise, scale 0.02"
    texts = [line.partition(": ")[2] for line in (without, within, again)]
    assert texts[0] == texts[2] != texts[1]
    assert all(len(text) > len("Hello my name is") for text in texts)
