"""LoRA adapters: small changes of a model's weights, switched on and off in each context."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .. import _raw
from ..errors import LlamaAdapterError
from ..native import log
from ..native.arguments import check_type
from ..native.remote import calls_for, free_for
from ..native.resource import Closable, Resource
from .gguf import GGUFFile, Tensor, file_name
from .metadata import Metadata

if TYPE_CHECKING:
    from ..native.library import LlamaLibrary
    from .model import LlamaModel

# What the conversion scripts write. Others the computation would abort over.
_TYPES = (
    _raw.ggml_type.GGML_TYPE_F32,
    _raw.ggml_type.GGML_TYPE_F16,
    _raw.ggml_type.GGML_TYPE_BF16,
    _raw.ggml_type.GGML_TYPE_Q8_0,
)


class LlamaLora(Closable):
    """A LoRA adapter for a model. From `LlamaModel.load_lora`; used by `LlamaContext.set_loras`.

    Contexts keep what they need of it, so it may be closed while it is in use there. It keeps the
    model's memory.
    """

    def __init__(self, model: LlamaModel, path: str | os.PathLike[str]) -> None:
        """Programs call `LlamaModel.load_lora`."""
        from .model import LlamaModel

        check_type(model, LlamaModel)
        parent = model._open()
        library = model.library
        self._model = model
        self._library = library
        self._path = Path(path)
        _check(model, self._path)
        lock = model.adapters_lock

        calls = calls_for(library, parent)

        def free(handle: _raw.llama_adapter_lora) -> None:
            with lock:
                free_for(library, "llama_adapter_lora_free", parent)(handle)

        with log.heard() as said, log.interruptible():
            with lock:
                handle = calls.llama_adapter_lora_init(parent.handle, file_name(self._path))
            self.users = _Users()
            self._resource = None
            if handle is not None:
                self._resource = Resource(handle, free, parent, lock=self.users)
        if self._resource is None:
            raise LlamaAdapterError(
                f"{path} could not be loaded: "
                + log.reason(said, "the library does not say why").removeprefix(
                    "llama_adapter_lora_init_from_file_ptr: failed to apply lora adapter: "
                )
            )

    @property
    def handle(self) -> _raw.llama_adapter_lora:
        """The C object, for the functions of the library."""
        handle: _raw.llama_adapter_lora = self._open().handle
        return handle

    @property
    def library(self) -> LlamaLibrary:
        """The library that it was loaded by."""
        return self._library

    @property
    def model(self) -> LlamaModel:
        """The model that it was loaded for."""
        return self._model

    @property
    def path(self) -> Path:
        """The file that it was loaded from."""
        return self._path

    @property
    def metadata(self) -> Mapping[str, str]:
        """Its GGUF metadata that has a single value, as strings.

        C: ``llama_adapter_meta_val_str``.
        """
        self._open()
        return Metadata(self, "llama_adapter_meta")

    @property
    def invocation_tokens(self) -> list[int]:
        """The tokens from which on an activated LoRA (aLoRA) is meant to be used; empty for others.

        The library does not look for them: call `LlamaContext.set_loras` when they come.
        C: ``llama_adapter_get_alora_invocation_tokens``.
        """
        calls = self._library.short
        count = int(calls.llama_adapter_get_alora_n_invocation_tokens(self.handle))
        if not count:
            return []
        tokens = calls.llama_adapter_get_alora_invocation_tokens(self.handle)
        return [int(tokens[i]) for i in range(count)]

    def _name(self) -> str:
        return f"the adapter {self._path}"

    def __repr__(self) -> str:
        return f"<LlamaLora {self._path.name!r}{', closed' if self.closed else ''}>"


class _Users:
    """The locks of the contexts that an adapter is in, as one: what is in use is not freed."""

    def __init__(self) -> None:
        self.locks: weakref.WeakSet[threading.Lock] = weakref.WeakSet()

    def acquire(self, blocking: bool = True) -> bool:
        """Whether none is held. They are not taken: nothing comes after the adapter was freed."""
        return not any(lock.locked() for lock in self.locks)


def _check(model: LlamaModel, path: Path) -> None:
    """What the library would abort for, when it reads the file or when it computes."""
    file = GGUFFile(model.library, path, LlamaAdapterError)
    arch = model.metadata.get("general.architecture")
    wanted = {"general.type": "adapter", "general.architecture": arch, "adapter.type": "lora"}
    for key, value in wanted.items():
        if file.string(key) != value:
            raise LlamaAdapterError(
                f"{path} is no LoRA adapter for {model.path.name}: "
                f"{key} is {file.string(key)!r} and not {value!r}"
            )
    if file.has("adapter.lora.alpha") and file.float32("adapter.lora.alpha") is None:
        raise LlamaAdapterError(f"{path}: adapter.lora.alpha is no 32-bit float")
    try:
        base = model._tensors()
    except OSError as error:
        raise LlamaAdapterError(
            f"the adapter cannot be compared with its model, whose file is gone: {error}"
        ) from None
    tensors = file.tensors()
    for name, a in tensors.items():
        stem = name.removesuffix(".lora_a")
        b = tensors.get(f"{stem}.lora_b")
        if stem == name or b is None or stem not in base:
            continue  # the library says what is wrong
        problem = _problem(stem, a, b, base)
        if problem:
            raise LlamaAdapterError(f"{path} does not fit {model.path.name}: {stem} {problem}")


def _problem(name: str, a: Tensor, b: Tensor, base: Mapping[str, Tensor]) -> str | None:
    """Why a pair does not fit the tensor that it changes."""
    weight = base[name]
    for tensor in (a, b):
        if tensor.type not in _TYPES:
            return f"has type {_raw.ggml_type(tensor.type).name.removeprefix('GGML_TYPE_')}"
        if tensor.shape[2:] != weight.shape[2:]:
            return f"has shape {tensor.shape} where the model has {weight.shape}"
    if weight.type == _raw.ggml_type.GGML_TYPE_NVFP4:
        return "is quantized to NVFP4 in the model, for which there is no LoRA"
    if name.endswith("token_embd.weight"):
        rank = (a.shape[0], b.shape[0])
        if name == "token_embd.weight" and "output.weight" not in base:
            return "is the model's output, too, for which the library has no LoRA"
    else:
        rank = (a.shape[1], b.shape[0])
    if rank[0] != rank[1] or rank[0] < 1:
        return f"has the ranks {rank[0]} and {rank[1]}"
    return None
