"""Loads damaged files, one for each line that it reads, and prints the outcome of each.

    python -m checks.fuzzworker FOLDER

FOLDER has the valid files (`prepare`). A line is "kind number"; the answer "loaded", "raised" with
the error, or "untyped" with an exception that is none of the package's. The file of the line that
ended the process is FOLDER/mutant-PID.
"""

from __future__ import annotations

import ctypes
import os
import random
import sys
from array import array
from collections.abc import Callable
from functools import cache
from pathlib import Path

import gguf
import numpy as np

from checks import mutants
from llama_cpp import LlamaContext, LlamaControlVector, LlamaError, LlamaModel, LlamaMultimodal
from tests.support import tiny, tiny_mmproj

MODELS = tuple(tiny.KINDS)
PROJECTORS = ("vision", "audio")
KINDS = (*MODELS, *MODELS, "split", "lora", "vector", *PROJECTORS, "types", "types", "state",
         "sequence", "sealed-state", "sealed-sequence")  # fmt: skip
"""The kinds of damaged files, with their frequency."""
TYPED = (*MODELS, *PROJECTORS)
"""The files for "types": one of their tensors gets another type."""
SECONDS = 150.0
"""For one file or scenario: most take milliseconds, but the process that tries a projector may take
120 seconds on a busy machine."""
_N_PARTS = 3
# A damaged file must not take all of the machine's memory.
_MEMORY = 6 << 30


def prepare(folder: Path) -> None:
    """Write the valid files."""
    for kind in MODELS:
        tiny.make(kind, folder)
    base = folder / "llama-0.gguf"
    tiny.split(base, folder, [_part(i) for i in range(_N_PARTS)])
    tiny_mmproj.make(folder, "vision")
    tiny_mmproj.make(folder, "audio")
    chance = np.random.default_rng(0)

    def write(name: str, facts: dict[str, object], tensors: dict[str, tuple[int, ...]]) -> None:
        writer = gguf.GGUFWriter(folder / name, "llama")
        for key, value in facts.items():
            writer.add_key_value(key, value, gguf.GGUFValueType.get_type(value))
        for tensor, shape in tensors.items():
            writer.add_tensor(tensor, chance.standard_normal(shape).astype(np.float32))
        tiny.finish(writer)

    weights = ("blk.0.attn_q.weight", "blk.1.attn_q.weight")
    n = tiny.N_EMBD
    write(
        "lora.gguf",
        {"general.type": "adapter", "adapter.type": "lora", "adapter.lora.alpha": 8.0},
        {
            f"{weight}.lora_{side}": shape
            for weight in weights
            for side, shape in (("a", (4, n)), ("b", (n, 4)))
        },
    )
    write("vector.gguf", {"general.type": "adapter"}, {"direction.1": (n,)})
    with LlamaModel.from_file(base) as model, _context(model) as ctx:
        ctx.decode([1, 2, 3, 4])
        (folder / "state.bin").write_bytes(ctx.to_bytes())
    with LlamaModel.from_file(base) as model, _context(model) as ctx, ctx.sequence() as sequence:
        sequence.extend([1, 2, 3, 4])
        (folder / "sequence.bin").write_bytes(sequence.to_bytes())


def _part(i: int) -> str:
    return f"part-{i + 1:05}-of-{_N_PARTS:05}.gguf"


def _context(model: LlamaModel) -> LlamaContext:
    return LlamaContext(model, n_ctx=64, n_threads=1, n_threads_batch=1)


class Worker:
    """Knows the valid files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / f"mutant-{os.getpid()}"

    @cache  # noqa: B019  # there is one
    def _whole(self, name: str) -> mutants.Gguf:
        return mutants.Gguf((self.folder / name).read_bytes())

    @cache  # noqa: B019
    def _bytes(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    @cache  # noqa: B019
    def _base(self) -> LlamaModel:
        return LlamaModel.from_file(self.folder / "llama-0.gguf")

    def make(self, kind: str, number: int) -> bytes:
        """Damage number ``number`` of ``kind``; the valid file for a negative one."""
        chance = random.Random(f"{kind} {number}")
        if kind.endswith(("state", "sequence")):
            state = self._bytes(f"{kind.removeprefix('sealed-')}.bin")
            if number < 0:
                return state
            return (mutants.sealed if kind.startswith("sealed-") else mutants.plain)(state, chance)
        retyped = kind == "types"
        if retyped:
            kind = TYPED[number % len(TYPED)]
        name = self._name(kind, chance)
        if number < 0:
            return self._bytes(name)
        if retyped:
            whole = self._whole(name)
            return mutants.retyped(whole, chance.choice(whole.names), chance.choice(mutants.TYPES))
        others = [f"{other}-0.gguf" for other in MODELS]
        others += ["lora.gguf", "mmproj-vision-64.gguf", _part(1)]
        return mutants.gguf(self._whole(name), [self._whole(o) for o in others], chance)

    def _name(self, kind: str, chance: random.Random) -> str:
        if kind == "split":
            return _part(chance.randrange(_N_PARTS))
        if kind in PROJECTORS:
            return f"mmproj-{kind}-{tiny.N_EMBD}.gguf"
        return f"{kind}-0.gguf" if kind in MODELS else f"{kind}.gguf"

    def run(self, kind: str, number: int) -> None:
        """Load it, and use it if it loads."""
        if kind in ("crash", "raise"):  # for the test that these are found
            self.file.write_bytes(b"")
            if kind == "raise":
                raise KeyError(kind)
            ctypes.string_at(0)
        data = self.make(kind, number)
        self.file.write_bytes(data)
        if kind == "types":
            kind = TYPED[number % len(TYPED)]
        use: Callable[[bytes], None] = getattr(self, f"_{kind.replace('-', '_')}", self._model)
        if kind == "split":
            self._split(data, random.Random(f"{kind} {number}").randrange(_N_PARTS))
        else:
            use(data)

    def _model(self, _: object) -> None:
        with LlamaModel.from_file(self.file) as model:
            _use(model)

    def _split(self, _: bytes, place: int) -> None:
        files = [self.folder / _part(i) for i in range(_N_PARTS)]
        files[place] = self.file
        with LlamaModel.from_file(files) as model:
            _use(model)

    def _lora(self, _: bytes) -> None:
        with self._base().load_lora(self.file) as lora, _context(self._base()) as ctx:
            dict(lora.metadata)
            lora.invocation_tokens  # noqa: B018
            ctx.set_loras([lora])
            ctx.decode([1, 2])

    def _vector(self, _: bytes) -> None:
        vector = LlamaControlVector.from_file(self.file)
        with _context(self._base()) as ctx:
            ctx.set_control_vector(vector)
            ctx.decode([1, 2])

    def _vision(self, _: bytes) -> None:
        with LlamaMultimodal(self._base(), self.file, n_threads=1) as both:
            image = np.zeros((40, 30, 3), np.uint8)
            with _context(self._base()) as ctx:
                both.eval(ctx, both.tokenize(f"a {both.marker}", [both.image(image)]))

    def _audio(self, _: bytes) -> None:
        with LlamaMultimodal(self._base(), self.file, n_threads=1) as both:
            sound = array("f", bytes(4 * 16000))
            with _context(self._base()) as ctx:
                both.eval(ctx, both.tokenize(f"a {both.marker}", [both.audio(sound)]))

    def _state(self, data: bytes) -> None:
        with _context(self._base()) as ctx:
            try:
                ctx.restore(data)
            finally:
                # Loaded or refused: the context is of use.
                ctx.decode([1, 2])

    _sealed_state = _state

    def _sequence(self, data: bytes) -> None:
        with _context(self._base()) as ctx, ctx.sequence.from_bytes(data) as sequence:
            sequence.extend([1, 2])

    _sealed_sequence = _sequence


def _use(model: LlamaModel) -> None:
    """Use a model as a program does."""
    dict(model.metadata)
    for fact in ("description", "chat_template", "ftype", "cls_labels", "n_params"):
        getattr(model, fact)
    vocab = model.vocab
    for fact in ("bos", "eos", "sep", "fim_pre", "add_bos", "suppress_tokens"):
        getattr(vocab, fact)
    tokens = model.tokenize("the cat sat on a mat")
    model.detokenize(tokens)
    two = [0, min(1, vocab.n_tokens - 1)]
    with _context(model) as ctx:
        if model.has_encoder:
            ctx.encode(two)
        if model.has_decoder:
            for token in two:
                ctx.decode([token])


def limit() -> None:
    """Limit this process's memory, so that it cannot take all of the machine's."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    limit()
    worker = Worker(Path(sys.argv[1]))
    print("ready", flush=True)
    for line in sys.stdin:
        kind, number = line.split()
        try:
            worker.run(kind, int(number))
        except (LlamaError, FileNotFoundError, MemoryError) as error:
            answer = f"raised {type(error).__name__}: {error}"
        except Exception as error:
            answer = f"untyped {type(error).__name__}: {error}"
        else:
            answer = "loaded"
        print(answer.replace("\n", " ")[:2000].encode("ascii", "replace").decode(), flush=True)


if __name__ == "__main__":
    main()
