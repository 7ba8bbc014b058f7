"""The inputs of all topics: the engine, the models, the texts, the programs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import gguf
import numpy as np

from codegen import source
from examples.fetch_model import fetch_model
from llama_cpp import LlamaLibrary

from . import build, peer
from .measure import Contender, Worker
from .report import Table

PROMPT = "Once upon a time"


class Place:
    """A folder for built files, and the paths of everything. ``rounds`` is the number of
    measurements, and ``threads`` the number of each contender's threads."""

    def __init__(self, folder: Path, rounds: int, threads: int, model: Path | None = None) -> None:
        self.folder = folder
        self.rounds = rounds
        self.threads = threads
        self._model = model

    @cached_property
    def library(self) -> Path:
        """The engine's libllama, which all contenders use."""
        return LlamaLibrary.default().path

    @cached_property
    def null_library(self) -> Path:
        """The libllama that returns at once."""
        folder = self.folder / "null"
        folder.mkdir()
        return build.null_engine(folder)

    @cached_property
    def model(self) -> Path:
        """SmolLM2."""
        return self._model or fetch_model()

    @cached_property
    def null_model(self) -> Path:
        """The file that the null engine "loads"."""
        return self.file("null.gguf", "GGUF\3" + 19 * "\0")

    @cached_property
    def tiny_model(self) -> Path:
        """Random weights of a size that takes about a millisecond a token, with the vocabulary of
        `model`: as fast as a model gets whose text one would read."""
        return write_tiny(self.model, self.folder / "tiny.gguf")

    @cached_property
    def loop(self) -> Path:
        """The C loop."""
        return build.loop_program(self.folder, self.library)

    def file(self, name: str, text: str) -> Path:
        """A file with ``text``."""
        path = self.folder / name
        path.write_text(text, "utf-8")
        return path

    @cached_property
    def text(self) -> Path:
        """1 MB: the headers and the source of llama.cpp."""
        root = source.resolve().root
        files = [*sorted(root.glob("include/*.h")), *sorted(root.glob("src/*.cpp"))]
        text = "".join(file.read_text("utf-8", "replace") for file in files)
        return self.file("text.txt", text.encode()[:1_000_000].decode("utf-8", "ignore"))

    # -- contenders

    def c(self, task: str, model: Path, units: int, text: Path) -> Worker:
        """The C loop."""
        return Worker([self.loop, task, model, self.threads, units, text])

    def ours(
        self, task: str, model: Path, units: int, text: Path, *options: str, null: bool = False
    ) -> Worker:
        """This package."""
        command = [sys.executable, "-m", "bench.ours", task, model, self.threads, units, text]
        library = self.null_library if null else self.library
        return Worker([*command, *options], {"LLAMA_CPP_LIB": str(library)})

    def theirs(
        self, task: str, model: Path, units: int, text: Path, *options: str, null: bool = False
    ) -> Worker:
        """llama-cpp-python. Raises CannotMeasure where it cannot be had."""
        library = self.null_library if null else self.library
        return peer.worker(library, task, model, self.threads, units, text, *options)

    def with_theirs(
        self,
        contenders: dict[str, Contender],
        remarks: list[str],
        tasks: Sequence[str],
        *given: object,
        null: bool = False,
    ) -> None:
        """Add llama-cpp-python at each of ``tasks``; a remark where that cannot be.

        It is left out where it cannot be had, where it fails, and where it comes to other results.
        """
        expected = {w.fingerprint for w in contenders.values() if isinstance(w, Worker)}
        for task in tasks:
            name = f"llama-cpp-python {task}"
            try:
                worker = self.theirs(task, *given, null=null)  # type: ignore[arg-type]
                try:
                    worker.start()
                finally:
                    worker.stop()
            except build.CannotMeasure as error:
                remarks.append(f"without {name}: {error}")
                continue
            if expected - {"", worker.fingerprint}:
                remarks.append(f"without {name}: it comes to another result")
                continue
            contenders[name] = worker


def write_tiny(like: Path, target: Path, *, n_embd: int = 128, n_layer: int = 1) -> Path:
    """A llama with random weights and the vocabulary of the model ``like``."""
    reader = gguf.GGUFReader(like)
    writer = gguf.GGUFWriter(target, "llama")
    for name, field in reader.fields.items():
        if name.startswith("tokenizer."):
            writer.add_key_value(name, field.contents(), field.types[0], *field.types[1:2])
    n_vocab = len(reader.fields["tokenizer.ggml.tokens"].data)
    head = n_embd // 4
    for add, value in (
        (writer.add_context_length, 8192), (writer.add_embedding_length, n_embd),
        (writer.add_feed_forward_length, 2 * n_embd), (writer.add_block_count, n_layer),
        (writer.add_head_count, 4), (writer.add_head_count_kv, 4),
        (writer.add_rope_dimension_count, head), (writer.add_vocab_size, n_vocab),
    ):  # fmt: skip
        add(value)
    writer.add_layer_norm_rms_eps(1e-5)
    random = np.random.default_rng(0)

    def add_tensor(name: str, *shape: int) -> None:
        data = random.standard_normal(shape, np.float32) if len(shape) > 1 else np.ones(shape)
        writer.add_tensor(name, (data / np.sqrt(shape[-1])).astype(np.float32))

    add_tensor("token_embd.weight", n_vocab, n_embd)
    add_tensor("output_norm.weight", n_embd)
    for at in (f"blk.{i}" for i in range(n_layer)):
        for name in ("attn_norm", "ffn_norm"):
            add_tensor(f"{at}.{name}.weight", n_embd)
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add_tensor(f"{at}.{name}.weight", n_embd, n_embd)
        for name in ("ffn_gate", "ffn_up"):
            add_tensor(f"{at}.{name}.weight", 2 * n_embd, n_embd)
        add_tensor(f"{at}.ffn_down.weight", n_embd, 2 * n_embd)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


Topic = Callable[[Place], Table]
"""Measures, and returns the results."""
